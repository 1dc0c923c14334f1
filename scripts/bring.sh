# Brings what the demo and the tests need, into this checkout only: npm packages into node_modules, and Debian's
# supervisor (with python3 where the host has none) unpacked into .dev. Installs nothing and starts nothing.
# Source it with the checkout as working directory, then call bring.

SUPERVISOR_PACKAGES="supervisor python3-pkg-resources python3-setuptools"
PYTHON_PACKAGES="python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libexpat1 libffi8"

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

bring_node() {
  command -v node >/dev/null || fail "Node.js 20.19 or later is needed (https://nodejs.org)"
  node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
    fail "Node.js 20.19 or later is needed, found $(node -v)"
  if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    say "bringing npm packages (about a minute the first time)"
    npm ci --no-audit --no-fund --loglevel=error >&2 || fail "npm ci failed"
    touch node_modules/.package-lock.json
  fi
}

# Downloads Debian packages and unpacks them below .dev/root, as any user, with package lists of its own if need be.
unpack() {
  command -v apt-get >/dev/null && command -v dpkg >/dev/null ||
    fail "no apt-get here: install supervisor by your system's means, then run this again"
  mkdir -p .dev/deb .dev/root .dev/apt/lists/partial .dev/apt/cache
  (
    cd .dev/deb || exit 1
    apt-get download "$@" >apt.log 2>&1 && exit 0
    own="-o Dir::State::Lists=$PWD/../apt/lists -o Dir::Cache=$PWD/../apt/cache"
    # shellcheck disable=SC2086
    apt-get $own update >apt.log 2>&1 && apt-get $own download "$@" >>apt.log 2>&1
  ) || fail "apt-get download $* failed; see .dev/deb/apt.log"
  for package in "$@"; do
    file=$(ls -t .dev/deb/"${package}"_*.deb | head -n 1)
    dpkg -x "$file" .dev/root || fail "cannot unpack $file"
  done
}

bring_supervisor() {
  if command -v /usr/bin/supervisord >/dev/null && [ -z "${SUPERVISOR_UNPACK:-}" ]; then return; fi
  [ -x .dev/root/usr/bin/supervisord ] && return
  say "bringing Debian's supervisor into .dev (nothing is installed)"
  # shellcheck disable=SC2086
  [ -x /usr/bin/python3 ] || unpack $PYTHON_PACKAGES
  # shellcheck disable=SC2086
  unpack $SUPERVISOR_PACKAGES
}

bring() {
  bring_node
  bring_supervisor
}
