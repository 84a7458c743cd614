#!/usr/bin/env bash
# Sets up this machine (Ubuntu or Debian, as root): MySQL or MariaDB, the Datadog
# Agent, apmapp and loadgen as services. If it runs again, it changes only what differs.
# It prints everything that it changes.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: provision.sh [--bin DIR] [--loadgen]

  --bin DIR    install apmapp and loadgen from DIR; default: bin/ of this repository
               (make build), or build them if Go is installed
  --loadgen    also start apmapp-loadgen.service: 20 requests per second

Environment:
  DD_API_KEY             install the Agent, or change its key; without it no Agent is
                         installed
  DD_SITE                the Datadog site, for example datadoghq.eu
  AGENT_INSTALL_SCRIPT   run this file instead of Datadog's install script of the Agent
  APT_WAIT               how many seconds to wait for other programs that use apt;
                         default 900
TEXT
}

# Programs that this script runs must not see the key.
api_key=${DD_API_KEY:-}
unset DD_API_KEY

bin='' loadgen=''
while (($#)); do
    case $1 in
    --bin)
        [[ ${2:-} ]] || { echo 'provision.sh: --bin needs a directory' >&2; exit 2; }
        bin=$2
        shift
        ;;
    --loadgen) loadgen=yes ;;
    -h | --help) usage; exit ;;
    *) echo "provision.sh: unknown argument $1; --help lists them" >&2; exit 2 ;;
    esac
    shift
done

# Unattended upgrades of a new machine take minutes.
apt_wait=${APT_WAIT:-900}
[[ $apt_wait =~ ^[0-9]+$ ]] || { echo "provision.sh: APT_WAIT must be a number of seconds, got $apt_wait" >&2; exit 2; }

fail() {
    echo "provision.sh: $*" >&2
    exit 1
}

[[ $(id -u) == 0 ]] || fail 'must run as root: sudo --preserve-env=DD_API_KEY,DD_SITE deploy/vm/provision.sh'
command -v apt-get >/dev/null || fail 'apt-get not found: only Ubuntu and Debian are supported'
[[ -d /run/systemd/system ]] || fail 'systemd is not running: it is needed to run the services'
# cloud-init and sudo may omit these.
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/go/bin
export DEBIAN_FRONTEND=noninteractive
# Messages of apt are read below.
export LC_ALL=C
umask 022

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
agent_files=$repository/deploy/agent
vm_files=$repository/deploy/vm
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

changes=0
changed() {
    changes=$((changes + 1))
    echo "changed: $*"
}

# One file for each service to restart. After a failed run, the next run restarts them.
pending=/run/apmapp-provision
mkdir -p "$pending"

# put FILE MODE OWNER:GROUP [SERVICE] writes standard input to FILE. If this changes
# FILE, SERVICE is restarted.
put() {
    local file=$1 mode=$2 owner=$3 service=${4:-} new
    new=$(umask 077; mktemp "$scratch/put.XXXXXX")
    cat >"$new"
    if [[ -f $file && $(stat -c '%a %U:%G' "$file") == "$mode $owner" ]] && cmp -s "$new" "$file"; then
        return
    fi
    [[ ! $service ]] || touch "$pending/$service"
    # A rename replaces the file, because running programs may have the old one open.
    install -m "$mode" -o "${owner%:*}" -g "${owner#*:}" "$new" "$file.new"
    mv -f "$file.new" "$file"
    changed "$file"
}

# directory PATH MODE OWNER:GROUP creates a directory, or changes its mode and owner.
directory() {
    [[ -d $1 && $(stat -c '%a %U:%G' "$1") == "$2 $3" ]] && return
    install -d -m "$2" -o "${3%:*}" -g "${3#*:}" "$1"
    changed "$1"
}

# apt COMMAND... runs a command that uses apt. If another program holds one of apt's
# locks, as apt-daily and unattended-upgrades do after a boot, it waits and tries again.
# The option DPkg::Lock::Timeout covers only two of the four locks.
apt() {
    local deadline=$((SECONDS + 10#$apt_wait)) told='' busy
    until "$@" </dev/null >"$scratch/apt.log" 2>&1; do
        if ! busy=$(grep -m1 -E 'Could not get lock|[Uu]nable to (lock|acquire)|(lock was|is) locked by' "$scratch/apt.log") ||
            ((SECONDS >= deadline)); then
            cat "$scratch/apt.log" >&2
            return 1
        fi
        [[ $busy == "$told" ]] || echo "waiting for another program that uses apt, at most $apt_wait s: ${busy#E: }"
        told=$busy
        sleep 1
    done
}

# packages NAME... installs the packages that are missing.
packages() {
    local name missing=()
    for name; do
        [[ $(dpkg-query -Wf '${db:Status-Status}' "$name" 2>/dev/null) == installed ]] || missing+=("$name")
    done
    ((${#missing[@]})) || return 0
    index
    apt apt-get install -y -qq -o Acquire::Retries=3 --no-install-recommends "${missing[@]}" ||
        fail "apt-get install ${missing[*]} failed"
    changed "packages installed: ${missing[*]}"
}

# index updates the lists of packages, once.
index() {
    [[ ! -e $scratch/indexed ]] || return 0
    apt apt-get update -qq -o Acquire::Retries=3 -o APT::Update::Error-Mode=any || fail 'apt-get update failed'
    touch "$scratch/indexed"
}

# For sessions that set passwords: keeps the rest of the session out of the server's
# statement history, which the Agent reads.
unrecorded="UPDATE performance_schema.threads SET instrumented = 'NO', history = 'NO' WHERE processlist_id = CONNECTION_ID();"

random_password() { od -An -v -tx1 -N24 /dev/urandom | tr -d ' \n'; }

find_programs() {
    if [[ ! $bin && -x $repository/bin/apmapp && -x $repository/bin/loadgen ]]; then
        bin=$repository/bin
    fi
    if [[ ! $bin ]]; then
        command -v go >/dev/null || fail "no programs to install: run 'make build' in $repository, set --bin, or install Go"
        echo "building apmapp and loadgen from $repository"
        # git refuses a repository of another user, such as a shared folder. So does the
        # version stamp of go build, which uses git.
        local revision
        revision=$(git -c safe.directory='*' -C "$repository" rev-parse HEAD 2>/dev/null) || revision=''
        (cd "$repository" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -o "$scratch/" \
            -ldflags "-s -w -X apmapp/internal/build.revision=$revision" ./cmd/apmapp ./loadgen)
        bin=$scratch
    fi
    local program
    for program in apmapp loadgen; do
        [[ -x $bin/$program ]] || fail "$bin/$program is missing or not executable"
        "$bin/$program" -help >/dev/null 2>&1 || fail "$bin/$program does not run on this machine: build it for Linux on $(uname -m) (GOOS=linux make build)"
    done
}

# sql runs statements from standard input as MySQL's administrator.
sql() { "$mysql" --batch --skip-column-names "$@"; }

# login USER PASSWORD succeeds if the user can log in.
login() {
    "$mysql" --defaults-extra-file=<(printf '[client]\npassword="%s"\n' "$2") \
        --protocol=tcp --host=127.0.0.1 --port="$port" --user="$1" --execute='SELECT 1' >/dev/null 2>&1
}

# find_server sets server to the name of the database's service. It fails if there is none.
find_server() {
    # mariadb first: mysql is an alias of its service.
    for server in mariadb mysql; do
        ! systemctl cat "$server.service" >/dev/null 2>&1 || return 0
    done
    return 1
}

install_mysql() {
    if ! find_server; then
        index
        # Ubuntu has MySQL, Debian MariaDB.
        if [[ $(apt-cache policy mysql-server) == *'Candidate: '[0-9]* ]]; then
            packages mysql-server
        else
            packages default-mysql-server
        fi
        find_server || fail 'the package of the MySQL server installed no service'
    fi
    mysql=$(command -v mariadb || command -v mysql) || fail "$server is installed, but no client: neither mysql nor mariadb"
    put /etc/mysql/conf.d/datadog.cnf 644 root:root "$server" <"$agent_files/mysql/datadog.cnf"
    if [[ -e $pending/$server ]]; then
        systemctl restart "$server"
        rm "$pending/$server"
    elif ! sql --execute='SELECT 1' >/dev/null 2>&1; then
        systemctl start "$server"
        changed "$server started"
    fi
    # A cold server needs seconds, after a crash more.
    local tries
    for ((tries = 120; tries; tries--)); do
        ! port=$(sql --execute='SELECT @@port' 2>"$scratch/mysql.log") || return 0
        sleep 0.5
    done
    fail "root cannot log in to $server: $(<"$scratch/mysql.log")"
}

set_up_database() {
    directory /etc/apmapp 700 root:root
    if [[ ! -e /etc/apmapp/dsn ]]; then
        put /etc/apmapp/dsn 600 root:root <<<"apmapp:$(random_password)@tcp(127.0.0.1:$port)/apmapp"
    fi
    local dsn password
    dsn=$(</etc/apmapp/dsn)
    if [[ ! $dsn =~ ^apmapp:([0-9a-f]+)@tcp\(127\.0\.0\.1:[0-9]+\)/apmapp$ ]]; then
        echo "database: /etc/apmapp/dsn names your own database; its user and grants are not changed"
    else
        password=${BASH_REMATCH[1]}
        put /etc/apmapp/dsn 600 root:root apmapp <<<"apmapp:$password@tcp(127.0.0.1:$port)/apmapp"
        if ! login apmapp "$password"; then
            # On standard input: anyone can read command lines.
            sql <<SQL
$unrecorded
CREATE USER IF NOT EXISTS apmapp@'127.0.0.1' IDENTIFIED BY '$password';
ALTER USER apmapp@'127.0.0.1' IDENTIFIED BY '$password';
SQL
            changed "MySQL user apmapp"
        fi
        sql <<'SQL'
CREATE DATABASE IF NOT EXISTS apmapp;
-- CREATE and INDEX, because the service creates its tables.
GRANT SELECT, INSERT, DELETE, CREATE, INDEX ON apmapp.* TO apmapp@'127.0.0.1';
SQL
    fi

    [[ -e /etc/apmapp/datadog_password ]] || put /etc/apmapp/datadog_password 600 root:root <<<"$(random_password)"
    datadog_password=$(</etc/apmapp/datadog_password)
    if ! cmp -s "$agent_files/mysql/datadog.sql" /etc/apmapp/datadog.sql || ! login datadog "$datadog_password"; then
        {
            echo "$unrecorded"
            echo "SET @datadog_password = '$datadog_password';"
            cat "$agent_files/mysql/datadog.sql"
        } | sql
        changed "MySQL user datadog and its procedures"
        put /etc/apmapp/datadog.sql 644 root:root <"$agent_files/mysql/datadog.sql"
    fi
}

install_service() {
    if ! id apmapp >/dev/null 2>&1; then
        useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin apmapp
        changed 'user apmapp created'
    fi
    put /usr/local/bin/apmapp 755 root:root apmapp <"$bin/apmapp"
    put /usr/local/bin/loadgen 755 root:root apmapp-loadgen <"$bin/loadgen"
    # Earlier versions let systemd open the log, as root, and logrotate rotate it. The
    # compressed files stay.
    if [[ -e /etc/logrotate.d/apmapp ]]; then
        chown --recursive apmapp:apmapp /var/log/apmapp
        rm /etc/logrotate.d/apmapp
        changed '/etc/logrotate.d/apmapp removed: the service rotates its log itself'
    fi
    put /etc/systemd/system/apmapp.service 644 root:root apmapp <"$vm_files/apmapp.service"
    put /etc/systemd/system/apmapp-loadgen.service 644 root:root apmapp-loadgen <"$vm_files/apmapp-loadgen.service"
}

install_agent() {
    local etc=/etc/datadog-agent
    if [[ ! -x /opt/datadog-agent/bin/agent/agent ]]; then
        if [[ ! $api_key ]]; then
            echo 'agent: skipped, DD_API_KEY is not set; to install the Agent, set it and run this again'
            return
        fi
        packages ca-certificates curl
        local script=${AGENT_INSTALL_SCRIPT:-}
        if [[ ! $script ]]; then
            script=$scratch/install_script_agent7.sh
            curl -fsSL --retry 3 -o "$script" https://install.datadoghq.com/scripts/install_script_agent7.sh ||
                fail "cannot download the Agent's install script from install.datadoghq.com"
        fi
        # The install script keeps an existing datadog.yaml. Then it needs no key and
        # writes none.
        directory $etc 755 root:root
        put $etc/datadog.yaml 640 root:root <"$agent_files/datadog.yaml"
        (cd "$scratch" && DD_INSTALL_ONLY=true apt bash "$script") || fail "the Agent's install script failed"
        [[ -x /opt/datadog-agent/bin/agent/agent ]] || fail "the Agent's install script installed no Agent"
        changed 'Datadog Agent installed'
    fi

    put $etc/datadog.yaml 640 dd-agent:dd-agent datadog-agent <"$agent_files/datadog.yaml"
    directory $etc/secrets 700 dd-agent:dd-agent
    [[ ! $api_key ]] || put $etc/secrets/api_key 400 dd-agent:dd-agent datadog-agent <<<"$api_key"
    put $etc/secrets/mysql_password 400 dd-agent:dd-agent datadog-agent <<<"$datadog_password"
    [[ ! ${DD_SITE:-} ]] || put $etc/environment 640 dd-agent:dd-agent datadog-agent <<<"DD_SITE=$DD_SITE"

    local name
    for name in mysql.d apmapp.d; do
        directory $etc/conf.d/$name 755 dd-agent:dd-agent
    done
    put $etc/conf.d/mysql.d/conf.yaml 640 dd-agent:dd-agent datadog-agent \
        < <(sed "s/port: 3306/port: $port/" "$agent_files/conf.d/mysql.d/conf.yaml")
    put $etc/conf.d/apmapp.d/conf.yaml 640 dd-agent:dd-agent datadog-agent <"$agent_files/conf.d/apmapp.d/conf.yaml"
    put $etc/conf.d/my_metric.yaml 640 dd-agent:dd-agent datadog-agent <"$agent_files/conf.d/my_metric.yaml"
    put $etc/checks.d/my_metric.py 640 dd-agent:dd-agent datadog-agent <"$agent_files/checks.d/my_metric.py"

    if ! id -nG dd-agent | grep -qw apmapp; then
        touch "$pending/datadog-agent"
        usermod --append --groups apmapp dd-agent
        changed 'dd-agent added to the group apmapp, to read the log'
    fi
}

# ready succeeds if the service answers /readyz with 200. /etc/apmapp/environment may set
# another port.
ready() {
    local port=5050 answer
    [[ ! -e /etc/apmapp/environment ]] || port=$(sed -n 's/^APMAPP_PORT=//p' /etc/apmapp/environment)
    {
        exec 3<>"/dev/tcp/127.0.0.1/${port:-5050}" || return 1
        printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3
        read -r answer <&3 || true
        exec 3>&-
    } 2>/dev/null
    [[ $answer == *' 200 '* ]]
}

start_services() {
    local services=(apmapp) name
    [[ ! -x /opt/datadog-agent/bin/agent/agent ]] || services=(datadog-agent apmapp)
    if [[ $loadgen ]] || systemctl is-enabled --quiet apmapp-loadgen; then
        services+=(apmapp-loadgen)
    fi
    [[ ! $(ls "$pending") ]] || systemctl daemon-reload
    for name in "${services[@]}"; do
        if ! systemctl is-enabled --quiet "$name"; then
            systemctl enable --quiet "$name"
            changed "$name enabled at boot"
        fi
        if ! systemctl is-active --quiet "$name"; then
            systemctl start "$name"
            changed "$name started"
        elif [[ -e $pending/$name ]]; then
            systemctl restart "$name"
            changed "$name restarted"
        fi
        rm -f "$pending/$name"
    done
    local tries
    # The service listens within a second, then creates its tables.
    for ((tries = 60; tries; tries--)); do
        ! ready || return 0
        sleep 0.5
    done
    systemctl --no-pager --full status apmapp >&2 || true
    fail 'apmapp is not ready: see /var/log/apmapp/apmapp.log'
}

find_programs
install_mysql
set_up_database
install_service
install_agent
start_services
if ((changes)); then
    echo "done, changes: $changes"
else
    echo 'done, nothing to change'
fi
