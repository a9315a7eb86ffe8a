# Sourced by the other scripts: finds a Python, keeps the virtual environment. Works in the bash 3.2 of macOS too.
# LLMTALLY_PYTHON  this Python and no other           LLMTALLY_VENV  this environment instead of .venv
set -eu
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=${LLMTALLY_VENV:-$ROOT/.venv}

# Prints "minor micro path" if $1 runs, is a final release of 3.11 or newer, and can make a virtual environment.
probe() {
    "$1" -c 'import sys, ensurepip, ssl, venv
v = sys.version_info
if v < (3, 11) or v.releaselevel != "final": sys.exit(1)
print(v.minor, v.micro, sys._base_executable)' 2>/dev/null </dev/null
}

# Prints every Python that `probe` accepts, newest first. pyenv is asked for its versions: its shims are slow, and run active versions only.
pythons() {
    local IFS=: dir python pyenv=${PYENV_ROOT:-${HOME:-}/.pyenv}
    for dir in $PATH "$pyenv"/versions/*/bin; do
        if [ "$dir" = "$pyenv/shims" ]; then continue; fi
        for python in "$dir"/python3 "$dir"/python3.[0-9] "$dir"/python3.[0-9][0-9]; do
            if [ -x "$python" ]; then probe "$python" || true; fi
        done
    done | sort -k1,1rn -k2,2rn
}

# Prints the path of the newest Python, or of the newest 3.$1.
find_python() {
    pythons | awk -v minor="${1:-}" '(minor == "" || $1 == minor) && !found { sub(/^[0-9]+ [0-9]+ /, ""); print; found = 1 }'
}

# Makes the environment if it is missing or its Python is gone.
make_venv() {
    if "$VENV/bin/python" -c '' 2>/dev/null; then return; fi
    local python=${LLMTALLY_PYTHON:-$(find_python)}
    if [ -z "$python" ] || ! probe "$python" >/dev/null; then
        echo "llmtally needs Python 3.11 or newer with its venv module; ${python:-no Python on PATH or in pyenv} will not do." >&2
        echo "Install one (Debian, Ubuntu: apt install python3-venv; macOS: brew install python3), or name it: LLMTALLY_PYTHON=/path/to/python3" >&2
        exit 1
    fi
    echo "llmtally: making $VENV with $python" >&2
    "$python" -m venv --clear "$VENV"
}

# Installs the checkout, editable, with the extras that are given; each again only when pyproject.toml or the constraints changed.
install() {
    local extra state missing=() stamps=()
    make_venv
    state=$(cat "$ROOT/pyproject.toml" "$ROOT"/scripts/python-3.11*.txt ${PIP_CONSTRAINT:+"$PIP_CONSTRAINT"} | cksum)
    for extra in "" "$@"; do
        local stamp=$VENV/.llmtally${extra:+-$extra}
        if [ "$(cat "$stamp" 2>/dev/null)" = "$state" ]; then continue; fi
        stamps+=("$stamp")
        if [ -n "$extra" ]; then missing+=("$extra"); fi
    done
    if [ ${#stamps[@]} = 0 ]; then return; fi
    echo "llmtally: installing into $VENV" >&2
    local pip=("$VENV/bin/python" -m pip install -qq --disable-pip-version-check)
    if [ -d "$VENV/lib/python3.11" ]; then
        local list=python-3.11.txt
        case " ${missing[*]-} " in *" sdks "* | *" check "*) list=python-3.11-sdks.txt ;; esac
        "${pip[@]}" -r "$ROOT/scripts/$list"
        echo "llmtally: pip will say that httpcore2 wants a newer h11; scripts/python-3.11.txt says why it may." >&2
    fi
    extra=$(IFS=, && echo "${missing[*]-}")
    "${pip[@]}" -e "$ROOT${extra:+[$extra]}"
    for stamp in "${stamps[@]}"; do echo "$state" >"$stamp"; done
}
