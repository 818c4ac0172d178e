envbuild build web.env
for name in dns postgres; do envbuild tag web $name; done
