# Brings what the demo and the tests need, into this checkout only: npm packages into node_modules, Debian's supervisor
# (with python3 where the host has none) unpacked into .dev/root, and for the tests Debian's cron into .dev/cron.
# Installs nothing, starts nothing and needs no root. Source it with the checkout as working directory, then call bring.
# SUPERVISOR_UNPACK=1 unpacks a supervisor of its own even where the host has one.

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

# With a cache of its own: the home folder may be read-only, or somebody else's.
npm_quietly() {
  npm_config_cache="${npm_config_cache:-$PWD/.dev/npm}" npm_config_update_notifier=false \
    npm "$@" --no-audit --no-fund --loglevel=error >.dev/npm.log 2>&1 </dev/null
}

bring_node() {
  command -v node >/dev/null && command -v npm >/dev/null ||
    fail "Node.js 20.19 or later with npm is needed (https://nodejs.org)"
  node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
    fail "Node.js 20.19 or later is needed, found $(node -v)"
  if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    say "bringing npm packages (about a minute the first time)"
    npm_quietly ci || {
      # npm 11 refuses a lock that was made where some optional packages of other platforms could not be asked for
      say "npm ci failed; trying npm install with the same versions"
      npm_quietly install --no-save || fail "npm install failed; see .dev/npm.log"
    }
    touch node_modules/.package-lock.json
  fi
}

# True when the supervisord that the tests will start runs: the unpacked one if there is one, else the host's.
supervisor_runs() (
  root="$PWD/.dev/root"
  if [ -x "$root/usr/bin/supervisord" ]; then
    supervisord="$root/usr/bin/supervisord"
    export PYTHONPATH="$root/usr/lib/python3/dist-packages"
  elif [ -z "${SUPERVISOR_UNPACK:-}" ] && [ -x /usr/bin/supervisord ]; then
    supervisord=/usr/bin/supervisord
  else return 1; fi
  python=/usr/bin/python3
  if [ ! -e "$python" ]; then
    python="$root/usr/bin/python3.11"
    export PYTHONHOME="$root/usr" LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu"
  fi
  "$python" "$supervisord" --version >/dev/null 2>&1 </dev/null
)

# apt-get with a cache of its own and none of the host's hooks; lists of its own after own_lists.
apt() { command="$1"; shift; APT_CONFIG="$PWD/.dev/apt/apt.conf" "apt-$command" "$@" </dev/null; }

write_apt_config() {
  mkdir -p .dev/apt/lists/partial .dev/apt/cache/archives/partial
  apt-config dump | grep -v -e 'Invoke' -e '^Dir::Cache' -e '^Dir::Etc::\(main\|parts\) ' >.dev/apt/apt.conf
  cat >>.dev/apt/apt.conf <<END
Dir::Cache "$PWD/.dev/apt/cache";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
APT::Sandbox::User "root";
END
}

own_lists() {
  printf 'Dir::State::Lists "%s";\n' "$PWD/.dev/apt/lists" >>.dev/apt/apt.conf
  apt get update
}

# The packages to unpack: supervisor with its libraries, and python3 with its own where the host has none.
package_names() {
  names='^(supervisor|python3-pkg-resources)$'
  [ -x /usr/bin/python3 ] ||
    names="$names|^(lib)?python3\.[0-9]+-(minimal|stdlib)\$|^(zlib1g|lib(expat|ffi|ssl|bz2|lzma|uuid|crypt)[0-9.-]*)(t64)?\$"
  # as if nothing were installed, so that every dependency is named
  apt get -s -o Dir::State::status=/dev/null --no-install-recommends install supervisor |
    sed -n 's/^Inst \([^ ]*\) .*/\1/p' | grep -E "$names"
}

download() {
  packages=$(package_names) && [ -n "$packages" ] || return 1
  # shellcheck disable=SC2086
  (cd .dev/deb && APT_CONFIG=../apt/apt.conf apt-get download $packages </dev/null)
}

unpack_supervisor() {
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
    fail "no apt-get here: install supervisor by your system's means, then run this again"
  rm -rf .dev/deb .dev/apt .dev/root.new
  mkdir -p .dev/deb .dev/root.new
  write_apt_config
  log=.dev/deb/apt.log
  download >"$log" 2>&1 || { own_lists && download; } >>"$log" 2>&1 ||
    fail "cannot download Debian's supervisor: $(grep '^E:' "$log" | tail -n 1) (see $log)"
  for file in .dev/deb/*.deb; do
    dpkg-deb -x "$file" .dev/root.new || fail "cannot unpack $file"
  done
  steady_names
  rm -rf .dev/root
  mv .dev/root.new .dev/root
}

# What is named after a machine or a release gets the name that test/fixtures/supervisor-command.ts asks for.
steady_names() (
  cd .dev/root.new/usr || exit 1
  # Debian keeps some libraries in /lib still
  if [ -d ../lib ] && [ ! -L ../lib ]; then cp -a ../lib/. lib/; fi
  if [ ! -e bin/python3.11 ]; then
    for python in bin/python3.*; do [ -x "$python" ] && ln -s "${python#bin/}" bin/python3.11; done
  fi
  [ -e lib/x86_64-linux-gnu ] || {
    for libraries in lib/*-linux-gnu*; do [ -d "$libraries" ] && ln -s "${libraries#lib/}" lib/x86_64-linux-gnu; done
  }
  exit 0
)

bring_supervisor() {
  supervisor_runs && return
  say "bringing Debian's supervisor into .dev (nothing is installed)"
  unpack_supervisor
  supervisor_runs || fail "the supervisor in .dev/root does not run: remove .dev and try again"
}

# Debian's cron, for the tests: they start it in namespaces of their own, and are skipped where it cannot be had.
bring_cron() {
  [ -x .dev/cron/usr/sbin/cron ] && return
  say "bringing Debian's cron into .dev (nothing is installed)"
  unpack_cron || say "it cannot be had (see .dev/deb/cron/apt.log); the tests that need it are skipped"
}

unpack_cron() {
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
  rm -rf .dev/cron .dev/cron.new .dev/deb/cron
  mkdir -p .dev/cron.new .dev/deb/cron
  write_apt_config
  log=.dev/deb/cron/apt.log
  download_cron >"$log" 2>&1 || { own_lists && download_cron; } >>"$log" 2>&1 || return 1
  dpkg-deb -x .dev/deb/cron/cron_*.deb .dev/cron.new >>"$log" 2>&1 && mv .dev/cron.new .dev/cron
}

download_cron() {
  (cd .dev/deb/cron && APT_CONFIG=../../apt/apt.conf apt-get download cron </dev/null)
}

bring() {
  mkdir -p .dev
  bring_node
  bring_supervisor
}
