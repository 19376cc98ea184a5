#!/usr/bin/env bash
# Installs spread-scanner on a server, again and again with the same result.
#
#   sudo deploy/setup.sh              install or upgrade
#   sudo deploy/setup.sh --dry-run    say what would be done, change nothing
#   sudo deploy/setup.sh --uninstall  remove it; settings and data stay unless --purge is given too
#
# What it makes: user "spread", /opt/spread-scanner/venv from a wheel of this checkout (or --wheel
# FILE), /etc/spread-scanner (your settings, never overwritten), /var/lib/spread-scanner (tables and
# data), the systemd units, sysctl settings, a cron file that is off until you enable it.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
root="" dry=0 uninstall=0 purge=0 units_only=0 wheel="" python=${PYTHON:-python3}

usage() { sed -n '2,/^set -euo/p' "$0" | sed '$d; s/^# \{0,1\}//'; }

while [ $# -gt 0 ]; do
    case $1 in
        --dry-run) dry=1 ;;
        --uninstall) uninstall=1 ;;
        --purge) purge=1 ;;
        --units-only) units_only=1 ;; # lay out the units below --root, for checks and images
        --root) root=${2:?--root needs a folder}; shift ;;
        --wheel) wheel=${2:?--wheel needs a file}; shift ;;
        --python) python=${2:?--python needs a program}; shift ;;
        -h|--help) usage; exit 0 ;;
        *) echo "setup.sh: unknown option $1; see --help" >&2; exit 2 ;;
    esac
    shift
done

opt=$root/opt/spread-scanner etc=$root/etc/spread-scanner state=$root/var/lib/spread-scanner
units=$root/etc/systemd/system

say() { printf '%s\n' "$*"; }
run() {
    if [ "$dry" = 1 ]; then say "would run: $*"; else "$@"; fi
}
live() { [ -z "$root" ] && [ -d /run/systemd/system ]; } # systemd runs here and is meant

# Put a file in place if it differs; say so only then.
put() { # source destination mode
    if [ -f "$2" ] && cmp -s "$1" "$2"; then return; fi
    say "install $2"
    run install -D -m "$3" "$1" "$2"
}

our_units() { (cd "$here/systemd" && printf '%s\n' *.service *.target *.timer); }

systemd_version() { systemctl --version 2>/dev/null | awk 'NR==1 {print $2}'; }

install_units() {
    local unit
    for unit in $(our_units); do
        put "$here/systemd/$unit" "$units/$unit" 644
        case $unit in *.service)
            put "$here/systemd/hardening.conf" "$units/$unit.d/50-hardening.conf" 644
            case $unit in feed-*|spread-engine*|spread-tracker*)
                if [ "$(systemd_version || echo 0)" -ge 254 ] 2>/dev/null; then
                    put "$here/systemd/backoff.conf" "$units/$unit.d/60-backoff.conf" 644
                fi ;;
            esac ;;
        esac
    done
    put "$here/systemd/feed-.service.d/10-feed.conf" "$units/feed-.service.d/10-feed.conf" 644
}

remove_units() {
    local unit
    for unit in $(our_units); do
        if [ -e "$units/$unit" ] || [ -e "$units/$unit.d" ]; then
            say "remove $units/$unit"
            run rm -rf "$units/$unit" "$units/$unit.d"
        fi
    done
    run rm -rf "$units/feed-.service.d"
}

need_root() {
    if [ -z "$root" ] && [ "$(id -u)" != 0 ] && [ "$dry" = 0 ]; then
        echo "setup.sh: run it as root, or look first with --dry-run" >&2
        exit 1
    fi
}

make_user() {
    if ! getent passwd spread >/dev/null; then
        say "create user spread"
        # A system user: logind's RemoveIPC would take the segments of an ordinary one at logout.
        run useradd --system --user-group --home-dir /var/lib/spread-scanner --shell /usr/sbin/nologin spread
    fi
}

install_package() {
    "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || {
        echo "setup.sh: $python is $("$python" --version 2>&1); Python 3.11, 3.12 or 3.13 is needed (--python)" >&2
        exit 1
    }
    if [ -z "$wheel" ]; then
        say "build a wheel from $here"
        run make -C "$here" --silent wheel PYTHON="$python"
        wheel=$(ls -t "$here"/dist/spread_scanner-*.whl 2>/dev/null | head -n 1 || true)
    fi
    if [ ! -x "$opt/venv/bin/python" ]; then
        say "create $opt/venv"
        run "$python" -m venv "$opt/venv"
    fi
    say "install ${wheel:-the wheel} into $opt/venv"
    run "$opt/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --constraint "$here/requirements.lock" --force-reinstall --no-deps "${wheel:-dist/*.whl}"
    run "$opt/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --constraint "$here/requirements.lock" "${wheel:-dist/*.whl}"
    put "$here/deploy/spread-discover" "$opt/spread-discover" 755
}

install_settings() {
    local name
    for name in config.toml exchanges.toml directions.toml; do
        if [ -f "$etc/$name" ]; then
            cmp -s "$here/config/$name" "$etc/$name" || say "keep your $etc/$name"
            continue
        fi
        say "install $etc/$name"
        run install -D -m 644 "$here/config/$name" "$etc/$name"
        if [ "$name" = config.toml ] && [ "$dry" = 0 ]; then
            sed -i "s|^\[system\]|[system]\ngenerated_dir = \"/var/lib/spread-scanner/generated\"\ndata_dir = \"/var/lib/spread-scanner/data\"|" "$etc/$name"
        fi
    done
    if [ ! -e "$etc/telegram-token" ]; then # the unit's credential; empty: no Telegram
        run install -D -m 600 /dev/null "$etc/telegram-token"
    fi
    run install -d -m 700 "$state" "$state/generated" "$state/data"
    [ -n "$root" ] || run chown -R spread:spread "$state"
}

install_machine() {
    put "$here/deploy/sysctl.d/60-spread-scanner.conf" "$root/etc/sysctl.d/60-spread-scanner.conf" 644
    put "$here/deploy/journald.conf.d/spread-scanner.conf" "$root/etc/systemd/journald.conf.d/spread-scanner.conf" 644
    put "$here/deploy/cron.d/spread-scanner" "$root/etc/cron.d/spread-scanner" 644
    if live; then run sysctl --quiet --system; fi
}

need_root
if [ "$uninstall" = 1 ]; then
    if live; then run systemctl disable --now spread-scanner.target spread-discovery.timer || true; fi
    remove_units
    for path in "$opt" "$root/etc/cron.d/spread-scanner" "$root/etc/sysctl.d/60-spread-scanner.conf" \
        "$root/etc/systemd/journald.conf.d/spread-scanner.conf"; do
        if [ -e "$path" ]; then say "remove $path"; run rm -rf "$path"; fi
    done
    if [ "$purge" = 1 ]; then
        say "remove $etc and $state"
        run rm -rf "$etc" "$state"
        if [ -z "$root" ] && getent passwd spread >/dev/null; then run userdel spread; fi
    else
        say "kept: $etc and $state (remove them with --uninstall --purge)"
    fi
    if live; then run systemctl daemon-reload; fi
    exit 0
fi

if [ "$units_only" = 0 ]; then
    [ -n "$root" ] || make_user
    install_package
    install_settings
    install_machine
fi
install_units
if live; then
    run systemctl daemon-reload
    run systemctl enable spread-scanner.target
fi
[ "$dry" = 1 ] || [ "$units_only" = 1 ] || cat <<TEXT
installed. Next:
  edit $etc/directions.toml and your fees in $etc/exchanges.toml
  $opt/venv/bin/spread-ctl doctor
  systemctl start spread-scanner.target
TEXT
