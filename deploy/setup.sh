#!/usr/bin/env bash
# Installs spread-scanner on a server; a second run changes nothing.
#
#   sudo deploy/setup.sh              install or upgrade
#   sudo deploy/setup.sh --dry-run    say what would be done, change nothing
#   sudo deploy/setup.sh --uninstall  remove it; settings and data stay unless --purge is given too
#
# What it makes: user "spread", /opt/spread-scanner/venv from a wheel of this checkout,
# /etc/spread-scanner (your settings, never overwritten), /var/lib/spread-scanner (tables and data),
# the systemd units, sysctl settings, /usr/local/bin/spread-ctl, and discovery every six hours: by
# cron where cron is installed, else by a systemd timer. The hourly report is a timer's everywhere.
#
#   --python PROGRAM  the Python for the venv (3.11 to 3.13), not below /root or /home
#   --wheel FILE      install this wheel instead of building one, with the versions that it names
#   --history         with what spread-ctl history and Parquet need (some 240 MB); once asked for, an
#                     upgrade brings it along
#   --solana          with what pools of Solana and cycles over them need; likewise
#   --no-package      leave the venv as it is: you have installed the package there yourself
#   --pin CPUS        pin: the first CPU to the engine alone, the others to the rest ("2-5", "1,3");
#                     "none" takes it back
#   --root FOLDER     only lay the files out below a folder (for images and checks): no venv, no
#                     user, no service is touched
#   --units-only      only the systemd units and the programs that they call
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
root="" dry=0 uninstall=0 purge=0 units_only=0 package=1 history=0 solana=0 pin="" wheel="" python=${PYTHON:-python3}
changed=0 upgraded=0 cpus=""

usage() { sed -n '2,/^set -euo/p' "$0" | sed '$d; s/^# \{0,1\}//'; }
fail() { echo "setup.sh: $1" >&2; exit "${2:-1}"; }

needs() { [ -n "${3-}" ] || fail "$2 needs $1" 2; } # what option [value]

while [ $# -gt 0 ]; do
    case $1 in
        --dry-run) dry=1 ;;
        --uninstall) uninstall=1 ;;
        --purge) purge=1 ;;
        --units-only) units_only=1 ;;
        --history) history=1 ;;
        --solana) solana=1 ;;
        --no-package) package=0 ;;
        --pin) needs CPUs "$@"; pin=$2; shift ;;
        --root) needs "a folder" "$@"; root=$2 package=0; shift ;;
        --wheel) needs "a file" "$@"; wheel=$2; shift ;;
        --python) needs "a program" "$@"; python=$2; shift ;;
        -h|--help) usage; exit 0 ;;
        *) fail "unknown option $1; see --help" 2 ;;
    esac
    shift
done
[ "$purge" = 0 ] || [ "$uninstall" = 1 ] || fail "--purge goes with --uninstall" 2
[ -z "$wheel" ] || [ -f "$wheel" ] || fail "no such wheel: $wheel" 2

opt=$root/opt/spread-scanner etc=$root/etc/spread-scanner state=$root/var/lib/spread-scanner
units=$root/etc/systemd/system
ctl=$root/usr/local/bin/spread-ctl cron=$root/etc/cron.d/spread-scanner
sysctl=$root/etc/sysctl.d/60-spread-scanner.conf

say() { printf '%s\n' "$*"; }
run() { # something that changes the machine
    changed=1
    if [ "$dry" = 1 ]; then say "would run: $*"; else "$@"; fi
}
live() { [ -z "$root" ] && [ -d /run/systemd/system ]; } # systemd runs here and is meant
has_cron() { command -v cron >/dev/null || command -v crond >/dev/null; }

# Put a file in place if it differs; say so only then.
put() { # source destination mode
    if [ -f "$2" ] && cmp -s "$1" "$2" && [ "$(stat -c %a "$2")" = "$3" ]; then return; fi
    [ "$dry" = 1 ] || say "install $2"
    run install -D -m "$3" "$1" "$2"
}
put_text() { # text destination mode
    local made
    made=$(mktemp)
    printf '%s\n' "$1" > "$made"
    put "$made" "$2" "$3"
    rm -f "$made"
}
drop() { # path...
    local path
    for path in "$@"; do
        [ -e "$path" ] || continue
        [ "$dry" = 1 ] || say "remove $path"
        run rm -rf "$path"
    done
}

our_units() { (cd "$here/systemd" && printf '%s\n' *.service *.target *.timer *.path); }

# Units of ours that another version installed and this one does not have.
former_units() {
    local path name
    for path in "$units"/feed-*.* "$units"/spread-*.* "$units"/shm-*.* "$units"/pair-*.*; do
        name=${path##*/}
        if [ -f "$path" ] && [ ! -e "$here/systemd/$name" ] &&
            grep -q '^Description=spread-scanner: ' "$path"; then echo "$name"; fi
    done
}

remove_former_units() {
    local unit
    for unit in $(former_units); do
        ! live || run systemctl disable --quiet --now "$unit" || say "$unit was not enabled"
        drop "$units/$unit" "$units/$unit.d" "$units"/*.wants/"$unit"
    done
}

systemd_version() { systemctl --version 2>/dev/null | awk 'NR==1 {print $2}'; }

install_units() {
    local unit version
    version=$(systemd_version)
    for unit in $(our_units); do
        put "$here/systemd/$unit" "$units/$unit" 644
        case $unit in *.service)
            put "$here/systemd/hardening.conf" "$units/$unit.d/50-hardening.conf" 644
            case $unit in
                feed-*|spread-engine*|spread-tracker*)
                    if [ "${version:-0}" -ge 254 ] 2>/dev/null; then
                        put "$here/systemd/backoff.conf" "$units/$unit.d/60-backoff.conf" 644
                    fi ;;
                spread-report.service)
                    put "$here/systemd/report.conf" "$units/$unit.d/60-report.conf" 644 ;;
            esac ;;
        esac
    done
    put "$here/systemd/feed-.service.d/10-feed.conf" "$units/feed-.service.d/10-feed.conf" 644
    put "$here/deploy/spread-discover" "$opt/spread-discover" 755
    for unit in ensure-segments tell-failed while-up; do
        put "$here/deploy/$unit" "$opt/$unit" 755
    done
    remove_former_units
    if [ -n "$pin" ]; then install_pinning; else keep_pinning; fi
}

# Which CPUs --pin means, in `cpus`: refused before anything is changed.
check_pin() {
    local there=""
    [ -n "$pin" ] && [ "$pin" != none ] || return 0
    # Files that are laid out below a folder may be another machine's.
    [ -n "$root" ] || there=$(cat /sys/devices/system/cpu/online)
    cpus=$("$python" - "$pin" "$there" <<'PY'
import re, sys

def named(text, option):
    cpus = []
    for part in text.split(","):
        found = re.fullmatch(r"([0-9]{1,4})(?:-([0-9]{1,4}))?", part.strip())
        if not found:
            sys.exit(f"{option} wants CPUs such as 2-5 or 1,3,5, not {part.strip()!r}")
        low, high = int(found[1]), int(found[2] or found[1])
        if high < low:
            sys.exit(f"{option} {part.strip()}: {high} is below {low}")
        cpus += [cpu for cpu in range(low, high + 1) if cpu not in cpus]
    return cpus

wanted = named(sys.argv[1], "--pin")
if sys.argv[2]:
    there = named(sys.argv[2], "the kernel")
    missing = [str(cpu) for cpu in wanted if cpu not in there]
    if missing:
        sys.exit(f"--pin: no such CPU: {', '.join(missing)}; this machine has {sys.argv[2].strip()}")
if len(wanted) < 2:
    sys.exit("--pin wants two CPUs or more: one is the engine's alone")
print(*wanted)
PY
    ) || exit 2
}

# The engine's CPU is the engine's alone: whoever runs beside it would cost it its caches.
install_pinning() {
    local unit first others
    if [ "$pin" = none ]; then
        for unit in $(our_units); do drop "$units/$unit.d/70-cpus.conf"; done
        return
    fi
    first=${cpus%% *} others=${cpus#* }
    for unit in $(our_units); do
        case $unit in
            spread-engine.service)
                put_text "[Service]"$'\n'"CPUAffinity=$first" "$units/$unit.d/70-cpus.conf" 644 ;;
            shm-init.service) ;; # it has ended before the engine starts
            *.service)
                put_text "[Service]"$'\n'"CPUAffinity=$others" "$units/$unit.d/70-cpus.conf" 644 ;;
        esac
    done
}

# An upgrade brings units that the last --pin did not know.
keep_pinning() {
    local unit pinned=$units/spread-tracker.service.d/70-cpus.conf
    [ -f "$pinned" ] || return 0
    for unit in $(our_units); do
        case $unit in
            spread-engine.service|shm-init.service) ;;
            *.service) put "$pinned" "$units/$unit.d/70-cpus.conf" 644 ;;
        esac
    done
}

remove_units() {
    local unit
    for unit in $(our_units); do drop "$units/$unit" "$units/$unit.d"; done
    remove_former_units
    drop "$units/feed-.service.d"
}

need_root() {
    if [ -z "$root" ] && [ "$(id -u)" != 0 ] && [ "$dry" = 0 ]; then
        fail "run it as root, or look first with --dry-run"
    fi
}

make_user() {
    if ! getent passwd spread >/dev/null; then
        say "create user spread"
        # A system user: logind's RemoveIPC would take the segments of an ordinary one at logout.
        run useradd --system --user-group --home-dir /var/lib/spread-scanner \
            --shell /usr/sbin/nologin spread
    fi
}

check_python() {
    local prefix
    "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' ||
        fail "$python is $("$python" --version 2>&1); Python 3.11, 3.12 or 3.13 is needed (--python)"
    prefix=$("$python" -c 'import os, sys; print(os.path.realpath(sys.base_prefix))')
    case $prefix/ in /root/*|/home/*)
        fail "$python lives in $prefix, which the services may not see; use another (--python)" ;;
    esac
}

# What would be installed, in one line: a rebuilt wheel with the same contents is the same. The wheel
# brings the versions of what it needs; one from before it did is installed with this checkout's.
fingerprint() { # file for the versions
    "$python" - "$wheel" "$here/requirements.lock" "$1" <<'PY'
import hashlib, platform, sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
record = next(name for name in wheel.namelist() if name.endswith(".dist-info/RECORD"))
if "spread_scanner/requirements.lock" in wheel.namelist():
    lock = wheel.read("spread_scanner/requirements.lock")
else:
    print("the wheel names no versions of what it needs: this checkout's are taken", file=sys.stderr)
    lock = open(sys.argv[2], "rb").read()
with open(sys.argv[3], "wb") as file:
    file.write(lock)
print(platform.python_version(), hashlib.sha256(wheel.read(record) + lock).hexdigest())
PY
}

install_package() {
    local stamp=$opt/venv/installed wanted lock extra="" extras=()
    if [ -z "$wheel" ]; then
        if [ "$dry" = 1 ]; then
            say "would build a wheel from $here and install it into $opt/venv, if it is new"
            return
        fi
        say "build a wheel from $here"
        make -C "$here" --silent --no-print-directory wheel PYTHON="$python" >&2
        wheel=$(find "$here/dist" -name 'spread_scanner-*.whl' -printf '%T@ %p\n' | sort -n |
            tail -n 1 | cut -d ' ' -f 2-)
    fi
    lock=$(mktemp)
    wanted=$(fingerprint "$lock") || fail "not a wheel of this package: $wheel"
    if [ "$history" = 1 ] || compgen -G "$opt/venv/lib/*/site-packages/duckdb" >/dev/null; then
        extras+=(history)
    fi
    if [ "$solana" = 1 ] || compgen -G "$opt/venv/lib/*/site-packages/solders" >/dev/null; then
        extras+=(solana)
    fi
    if [ "${#extras[@]}" -gt 0 ]; then
        extra="[$(IFS=,; echo "${extras[*]}")]" wanted="$wanted ${extras[*]}"
    fi
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then rm -f "$lock"; return; fi
    if [ ! -x "$opt/venv/bin/python" ]; then
        say "create $opt/venv"
        run "$python" -m venv "$opt/venv"
    fi
    say "install $wheel$extra into $opt/venv"
    run rm -f "$stamp"
    run "$opt/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --constraint "$lock" "$wheel$extra"
    rm -f "$lock"
    # Again without its dependencies: the same version may hold other code.
    run "$opt/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --force-reinstall --no-deps "$wheel"
    put_text "$wanted" "$stamp" 644
    upgraded=1
}

# Read by the services, by nobody else: a proxy's password or a provider's key may stand in it.
ours() { [ -n "$root" ] || run chgrp spread "$1"; }

install_settings() {
    local name with_folders
    for name in exchanges.toml directions.toml pools.toml; do
        [ -f "$etc/$name" ] || { put "$here/config/$name" "$etc/$name" 640; ours "$etc/$name"; }
    done
    if [ ! -f "$etc/config.toml" ]; then
        with_folders=$(sed 's|^\[system\]|[system]\
generated_dir = "/var/lib/spread-scanner/generated"\
data_dir = "/var/lib/spread-scanner/data"|' "$here/config/config.toml")
        put_text "$with_folders" "$etc/config.toml" 640
        ours "$etc/config.toml"
    fi
    # The credential of the unit spread-alerts; empty: no Telegram.
    [ -e "$etc/telegram-token" ] || run install -D -m 600 /dev/null "$etc/telegram-token"
    if [ ! -d "$state" ]; then
        if [ -n "$root" ]; then
            run install -d -m 700 "$state" "$state/generated" "$state/data"
        else
            run install -d -m 700 -o spread -g spread "$state" "$state/generated" "$state/data"
        fi
    fi
}

install_machine() {
    local before=$changed
    changed=0
    put "$here/deploy/sysctl.d/60-spread-scanner.conf" "$sysctl" 644
    if live && [ "$changed" = 1 ]; then
        run sysctl --quiet --load="$sysctl" || say "some sysctl settings were refused (a container?)"
    fi
    changed=$((before | changed))
    put "$here/deploy/spread-ctl" "$ctl" 755
    put "$here/deploy/cron.d/spread-scanner" "$cron" 644
}

# One by one: of several, systemctl calls all enabled when one is. While the target runs its timers begin
# at once; otherwise it starts them.
enable() { # units
    local unit now
    for unit in "$@"; do
        now=""
        case $unit in *.timer) ! systemctl is-active --quiet spread-scanner.target || now=--now ;; esac
        systemctl is-enabled --quiet "$unit" 2>/dev/null || run systemctl enable --quiet $now "$unit"
    done
}

need_root
check_pin
if [ "$uninstall" = 1 ]; then
    if live; then
        run systemctl disable --quiet --now spread-scanner.target spread-discovery.timer \
            spread-look.timer spread-funding.timer spread-report.timer ||
            say "the target was not installed"
    fi
    remove_units
    drop "$opt" "$ctl" "$cron" "$sysctl"
    drop "$root/var/lib/systemd/timers/stamp-spread-discovery.timer"
    if [ "$purge" = 1 ]; then
        drop "$etc" "$state"
        if [ -z "$root" ] && getent passwd spread >/dev/null; then run userdel spread; fi
    else
        say "kept: $etc and $state (remove them with --uninstall --purge)"
    fi
    if live; then run systemctl daemon-reload; fi
    exit 0
fi

if [ "$units_only" = 0 ]; then
    [ "$package" = 0 ] || check_python
    [ -n "$root" ] || make_user
    [ "$package" = 0 ] || install_package
    install_settings
    install_machine
fi
install_units
if live; then
    [ "$changed" = 0 ] || run systemctl daemon-reload
    if [ "$dry" = 0 ] || [ -e "$units/spread-scanner.target" ]; then
        enable spread-scanner.target
        has_cron || enable spread-discovery.timer spread-look.timer spread-funding.timer
        enable spread-report.timer # never cron's: only a unit has a bound to its memory
    fi
fi

if [ "$changed" = 0 ]; then
    say "everything stands as it should; nothing changed"
elif [ "$dry" = 1 ]; then
    say "nothing was changed (--dry-run)"
elif [ "$upgraded" = 1 ] && live && systemctl is-active --quiet spread-scanner.target; then
    say "upgraded. The running system is the old one until: systemctl restart spread-scanner.target"
elif [ "$units_only" = 0 ]; then
    cat <<TEXT
installed. Next:
  edit $etc/directions.toml and your fees in $etc/exchanges.toml
  spread-ctl doctor
  systemctl start spread-scanner.target
TEXT
fi
