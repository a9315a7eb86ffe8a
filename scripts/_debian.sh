# Sourced by scripts/test: what the tests need of the distribution. Elsewhere than on Debian, install the same by your own means.

# Installs those of the packages that are missing. Without root or apt it says what to do and continues: the tests that need them fail.
debian_packages() {
    local package missing=()
    for package; do
        if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then missing+=("$package"); fi
    done
    if [ ${#missing[@]} = 0 ]; then return; fi
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "llmtally: some tests need ${missing[*]}. Debian, Ubuntu: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
        return
    fi
    echo "llmtally: installing ${missing[*]}" >&2
    without_daemons apt_install "${missing[@]}" || echo "llmtally: installing ${missing[*]} failed; the tests that need them will fail." >&2
}

apt_install() {
    local apt=(apt-get -qq -o DPkg::Lock::Timeout=300)
    # The lists may be missing or of last month; then the first attempt fails.
    DEBIAN_FRONTEND=noninteractive "${apt[@]}" install --no-install-recommends "$@" >/dev/null 2>&1 || {
        "${apt[@]}" update && DEBIAN_FRONTEND=noninteractive "${apt[@]}" install --no-install-recommends "$@" >/dev/null
    }
}

# Runs a command while packages are forbidden to start their daemons. https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt
without_daemons() (
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        trap 'rm -f $policy' EXIT
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
    fi
    "$@"
)
