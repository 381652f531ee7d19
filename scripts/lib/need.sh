# What the scripts need of a machine, installed where it is missing. Sourced, not run.

say() { printf '\n== %s\n' "$*" >&2; }

# Debian and Ubuntu packages for commands that are missing: need_packages COMMAND=PACKAGE…
need_packages() {
  local missing=() pair
  for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null 2>&1 || missing+=("${pair#*=}")
  done
  [ ${#missing[@]} -eq 0 ] && return
  say "installing ${missing[*]}"
  command -v apt-get >/dev/null 2>&1 || {
    echo "These are missing, and this is no Debian or Ubuntu: ${missing[*]}. Install them and run this again." >&2
    exit 1
  }
  local sudo=''
  [ "$(id -u)" -eq 0 ] || sudo=sudo
  $sudo apt-get update -q && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -qy "${missing[@]}"
}

need_rust() {
  need_packages cc=build-essential
  [ -x "$HOME/.cargo/bin/cargo" ] && PATH="$HOME/.cargo/bin:$PATH"
  command -v cargo >/dev/null 2>&1 || {
    cat >&2 <<'TXT'
kaffic is written in Rust, and no `cargo` is here. Get a toolchain (1.88 or newer) from https://rustup.rs, or by
your system's packages (Debian: `apt install rustup && rustup default stable`), and run this again.
TXT
    exit 1
  }
}

# A cargo command of its own, built once: need_cargo_tool NAME
need_cargo_tool() {
  command -v "$1" >/dev/null 2>&1 || {
    say "installing $1 (once)"
    cargo install --quiet --locked "$1"
  }
}
