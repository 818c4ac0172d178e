"""Scripts by which bash, zsh and fish complete command lines of envbuild.

What commands and options there are stands in the script; names of images, instances, volumes and recipes are asked for
when the key is pressed, with `envbuild completion --names KIND`.
"""

from __future__ import annotations

import shlex

from envbuild.cli.declared import Declared, Option, Value

_BASH = """\
# bash completion of envbuild, written by `envbuild completion bash`.
_envbuild() {
    # The words as the user sees them: bash takes them apart at ":" and "=", which names have.
    local line=${COMP_LINE:0:COMP_POINT} words word current skip=0 plain=0 options="" valued="" slots=() offered=""
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    local last=$((${#words[@]} - 1))
    current=${words[last]}
    if ((last <= 1)); then
        offered="@COMMANDS@"
    else
        case ${words[1]} in
@CASES@
        esac
        for word in "${words[@]:2:last-2}"; do
            if ((skip)); then
                skip=0
            elif [[ $word == -- ]]; then
                return
            elif [[ " $valued " == *" $word "* ]]; then
                skip=1
            elif [[ $word != -* ]]; then
                ((plain++))
            fi
        done
        if ((skip)); then
            offered=$(_envbuild_value "${words[1]}" "${words[last - 1]}")
        elif [[ $current == -* ]]; then
            offered=$options
        else
            ((plain >= ${#slots[@]})) && plain=$((${#slots[@]} - 1))
            ((plain >= 0)) && offered=${slots[plain]}
        fi
    fi
    local found="" kind
    for word in $offered; do
        case $word in
        @files) found+=$(compgen -f -- "$current")$'\\n' ;;
        @*) kind=${word#@}; found+=$(envbuild completion --names "$kind" 2>/dev/null)$'\\n' ;;
        *) found+=$word$'\\n' ;;
        esac
    done
    # What bash counts as a word begins behind the last of its breaks.
    local - prefix="" IFS=$'\\n'
    set -f
    [[ $current == *[:=]* && $COMP_WORDBREAKS == *:* ]] && prefix=${current%"${current##*[:=]}"}
    COMPREPLY=()
    for word in $found; do
        [[ $word == "$current"* ]] && COMPREPLY+=("${word#"$prefix"}")
    done
}
_envbuild_value() {
    case $1:$2 in
@VALUES@
    esac
}
complete -o filenames -F _envbuild envbuild
"""

_ZSH = """\
#compdef envbuild
# zsh completion of envbuild, written by `envbuild completion zsh`.
_envbuild_names() {
    local -a found
    local kind=$1
    found=(${(f)"$(envbuild completion --names $kind 2>/dev/null)"})
    compadd -Q -- ${(q)found}
}
_envbuild_images() { _envbuild_names images }
_envbuild_instances() { _envbuild_names instances }
_envbuild_recipes() { _envbuild_names recipes }
_envbuild_volumes() { _envbuild_names volumes }
_envbuild() {
    local context state line
    typeset -A opt_args
    local -a commands
    commands=(
@COMMANDS@
    )
    _arguments -C '1:command:->command' '*::argument:->argument'
    if [[ $state == command ]]; then
        _describe command commands
        return
    fi
    case $words[1] in
@CASES@
    esac
}
if [ "$funcstack[1]" = _envbuild ]; then _envbuild "$@"; else compdef _envbuild envbuild; fi
"""

_FISH = """\
# fish completion of envbuild, written by `envbuild completion fish`.
function __envbuild_is
    set -l words (commandline -opc)
    test (count $words) -gt 1; and contains -- $words[2] $argv
end
function __envbuild_is_first
    test (count (commandline -opc)) -eq 1
end
complete -c envbuild -f
@LINES@
"""


def bash_script(commands: list[Declared]) -> str:
    """Return the script for bash."""
    cases, values = [], []
    for command in commands:
        flags = [flag for option in command.options for flag in option.flags]
        valued = [flag for option in command.options if option.value is not None for flag in option.flags]
        slots = [_bash_words(value) for value in command.words]
        if slots and not command.repeats:
            slots.append("")
        cases.append(
            f"        {command.name}) options={_quoted(' '.join(flags))} valued={_quoted(' '.join(valued))}"
            f" slots=({' '.join(map(_quoted, slots))}) ;;"
        )
        for option in command.options:
            if option.value is not None and (words := _bash_words(option.value)):
                patterns = "|".join(f"{command.name}:{flag}" for flag in option.flags)
                values.append(f"    {patterns}) echo {_quoted(words)} ;;")
    names = " ".join(command.name for command in commands)
    filled = _BASH.replace("@COMMANDS@", names).replace("@CASES@", "\n".join(cases))
    return filled.replace("@VALUES@", "\n".join(values))


def zsh_script(commands: list[Declared]) -> str:
    """Return the script for zsh, which may be sourced or be a file `_envbuild` of $fpath."""
    listed = [f"        {_quoted(f'{command.name}:{command.summary}')}" for command in commands]
    cases = []
    for command in commands:
        specs = [_zsh_option(option, flag) for option in command.options for flag in option.flags]
        for number, value in enumerate(command.words, 1):
            place = "*" if command.repeats and number == len(command.words) else str(number)
            specs.append(f"{place}:{_zsh_text(value.metavar)}:{_zsh_action(value)}")
        if command.takes_command and not command.repeats:
            specs.append("*:::_normal")
        cases.append(f"    {command.name}) _arguments {' '.join(map(_quoted, specs))} ;;")
    return _ZSH.replace("@COMMANDS@", "\n".join(listed)).replace("@CASES@", "\n".join(cases))


def fish_script(commands: list[Declared]) -> str:
    """Return the script for fish."""
    lines = []
    for command in commands:
        lines.append(f"complete -c envbuild -n __envbuild_is_first -a {command.name} -d {_fish(command.summary)}")
        here = f"complete -c envbuild -n '__envbuild_is {command.name}'"
        for option in command.options:
            flags = " ".join(f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in option.flags)
            value = "" if option.value is None else f" -r {_fish_value(option.value)}"
            lines.append(f"{here} {flags}{value} -d {_fish(option.help)}")
        offered = dict.fromkeys(_fish_value(value) for value in command.words)
        lines += [f"{here} {words}" for words in offered if words]
    return _FISH.replace("@LINES@", "\n".join(lines))


def _bash_words(value: Value) -> str:
    return " ".join(value.choices or tuple(f"@{kind}" for kind in value.kinds))


def _quoted(text: str) -> str:
    return shlex.quote(text)


def _zsh_option(option: Option, flag: str) -> str:
    others = f"({' '.join(option.flags)})" if len(option.flags) > 1 else ""
    head = f"{others}{flag}[{_zsh_text(option.help)}]"
    if option.value is None:
        return head
    return f"{head}:{_zsh_text(option.value.metavar)}:{_zsh_action(option.value)}"


def _zsh_text(text: str) -> str:
    """Return text for a message of _arguments, where some characters mean something."""
    return "".join(f"\\{letter}" if letter in "[]:\\" else letter for letter in text)


def _zsh_action(value: Value) -> str:
    if value.choices:
        return f"({' '.join(value.choices)})"
    actions = ["_files" if kind == "files" else f"_envbuild_{kind}" for kind in value.kinds]
    if len(actions) == 1:
        return actions[0]
    return f"{{{'; '.join(actions)}}}" if actions else " "


def _fish_value(value: Value) -> str:
    if value.choices:
        return f"-f -a '{' '.join(value.choices)}'"
    names = " ".join(f"(envbuild completion --names {kind})" for kind in value.kinds if kind != "files")
    files = " -F" if "files" in value.kinds else ""
    return f"-a '{names}'{files}" if names else files.strip()


def _fish(text: str) -> str:
    """Return text in quotes, in which fish knows two escapes."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
