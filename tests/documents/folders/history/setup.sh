# Sixteen commits of a recipe: the eleventh is bad, and three have no image.
git init -q -b main .
git config user.name Author
git config user.email author@example.org
for number in $(seq 1 16); do
    word=good
    if [ "$number" -ge 11 ]; then word=bad; fi
    printf 'from tar:busybox.tar\nrun echo %s %s > /a\n' "$word" "$number" > web.env
    case $number in
    8 | 12 | 13) ENVBUILD_STORE=$PWD/elsewhere envbuild build web.env ;;
    *) envbuild build web.env ;;
    esac
    git add web.env web.env.lock .gitattributes
    git commit -q -m "commit $number"
done
