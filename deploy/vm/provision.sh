#!/usr/bin/env bash
# Sets up this machine (Ubuntu or Debian, as root): MySQL or MariaDB, the Datadog
# Agent, apmapp and loadgen as services. It may run again, and then changes only what
# differs; it says what it changes.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: provision.sh [--bin DIR] [--loadgen]

  --bin DIR    take apmapp and loadgen from there; without it from bin/ of this
               repository (make build), else they are built, if Go is installed
  --loadgen    start apmapp-loadgen.service too: 20 requests per second

From the environment:
  DD_API_KEY             installs the Agent, or changes its key; without it no Agent
                         is installed
  DD_SITE                the Datadog site, for example datadoghq.eu
  AGENT_INSTALL_SCRIPT   a file with the Agent's install script, in place of the one
                         that Datadog serves
TEXT
}

# The key is kept away from the programs that are run from here.
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

fail() {
    echo "provision.sh: $*" >&2
    exit 1
}

[[ $(id -u) == 0 ]] || fail 'it has to run as root: sudo -E deploy/vm/provision.sh'
command -v apt-get >/dev/null || fail 'there is no apt-get: this is for Ubuntu and Debian'
[[ -d /run/systemd/system ]] || fail 'systemd does not run here, and it is to run the services'
# cloud-init and sudo may leave these out.
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/go/bin
export DEBIAN_FRONTEND=noninteractive
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

# Services that have to be restarted, each a file here: a run that fails leaves them
# to the next one.
pending=/run/apmapp-provision
mkdir -p "$pending"

# put FILE MODE OWNER:GROUP [SERVICE] makes standard input the content of FILE.
# SERVICE is restarted if that changes anything.
put() {
    local file=$1 mode=$2 owner=$3 service=${4:-} new
    new=$(umask 077; mktemp "$scratch/put.XXXXXX")
    cat >"$new"
    if [[ -f $file && $(stat -c '%a %U:%G' "$file") == "$mode $owner" ]] && cmp -s "$new" "$file"; then
        return
    fi
    [[ ! $service ]] || touch "$pending/$service"
    # Renamed over the old file, which running programs may have open.
    install -m "$mode" -o "${owner%:*}" -g "${owner#*:}" "$new" "$file.new"
    mv -f "$file.new" "$file"
    changed "$file"
}

# directory PATH MODE OWNER:GROUP
directory() {
    [[ -d $1 && $(stat -c '%a %U:%G' "$1") == "$2 $3" ]] && return
    install -d -m "$2" -o "${3%:*}" -g "${3#*:}" "$1"
    changed "$1"
}

# packages NAME... are installed if they are missing.
packages() {
    local name missing=()
    for name; do
        [[ $(dpkg-query -Wf '${db:Status-Status}' "$name" 2>/dev/null) == installed ]] || missing+=("$name")
    done
    ((${#missing[@]})) || return 0
    index
    apt-get install -y -qq -o Acquire::Retries=3 --no-install-recommends "${missing[@]}" >"$scratch/apt.log" 2>&1 ||
        { cat "$scratch/apt.log" >&2; fail "apt-get install ${missing[*]} failed"; }
    changed "packages ${missing[*]}"
}

# index brings the lists of packages up to date, once.
index() {
    [[ ! -e $scratch/indexed ]] || return 0
    apt-get update -qq -o Acquire::Retries=3 -o APT::Update::Error-Mode=any >"$scratch/apt.log" 2>&1 || { cat "$scratch/apt.log" >&2; fail 'apt-get update failed'; }
    touch "$scratch/indexed"
}

# Keeps the rest of a session out of the server's statement history, which the Agent
# reads; for sessions that set passwords.
unrecorded="UPDATE performance_schema.threads SET instrumented = 'NO', history = 'NO' WHERE processlist_id = CONNECTION_ID();"

random_password() { od -An -v -tx1 -N24 /dev/urandom | tr -d ' \n'; }

find_programs() {
    if [[ ! $bin && -x $repository/bin/apmapp && -x $repository/bin/loadgen ]]; then
        bin=$repository/bin
    fi
    if [[ ! $bin ]]; then
        command -v go >/dev/null || fail "no programs to install: run 'make build' in $repository first, name their directory by --bin, or install Go"
        echo "building apmapp and loadgen from $repository"
        # The repository may belong to another user, as a shared folder does: git, and
        # Go's own stamp by way of it, would refuse.
        local revision
        revision=$(git -c safe.directory='*' -C "$repository" rev-parse HEAD 2>/dev/null) || revision=''
        (cd "$repository" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -o "$scratch/" \
            -ldflags "-s -w -X apmapp/internal/build.revision=$revision" ./cmd/apmapp ./loadgen)
        bin=$scratch
    fi
    local program
    for program in apmapp loadgen; do
        [[ -x $bin/$program ]] || fail "$bin has no program $program"
        "$bin/$program" -help >/dev/null 2>&1 || fail "$bin/$program does not run here: it has to be built for Linux on $(uname -m) (GOOS=linux make build)"
    done
}

# sql runs statements from standard input as MySQL's administrator.
sql() { "$mysql" --batch --skip-column-names "$@"; }

# login USER PASSWORD: can they log in?
login() {
    "$mysql" --defaults-extra-file=<(printf '[client]\npassword="%s"\n' "$2") \
        --protocol=tcp --host=127.0.0.1 --port="$port" --user="$1" --execute='SELECT 1' >/dev/null 2>&1
}

# find_server sets server to the service's name, if there is one.
find_server() {
    # With MariaDB, mysql is another name of its service.
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
        find_server || fail 'the package of the MySQL server brought no service'
    fi
    mysql=$(command -v mariadb || command -v mysql) || fail "there is $server, but neither mysql nor mariadb, its client"
    put /etc/mysql/conf.d/datadog.cnf 644 root:root "$server" <"$agent_files/mysql/datadog.cnf"
    if [[ -e $pending/$server ]]; then
        systemctl restart "$server"
        rm "$pending/$server"
    elif ! sql --execute='SELECT 1' >/dev/null 2>&1; then
        systemctl start "$server"
        changed "$server runs"
    fi
    # A cold server takes seconds, one that recovers from a crash more.
    local tries
    for ((tries = 120; tries; tries--)); do
        ! port=$(sql --execute='SELECT @@port' 2>"$scratch/mysql.log") || return 0
        sleep 0.5
    done
    fail "$server does not let root in: $(<"$scratch/mysql.log")"
}

set_up_database() {
    directory /etc/apmapp 700 root:root
    if [[ ! -e /etc/apmapp/dsn ]]; then
        put /etc/apmapp/dsn 600 root:root <<<"apmapp:$(random_password)@tcp(127.0.0.1:$port)/apmapp"
    fi
    local dsn password
    dsn=$(</etc/apmapp/dsn)
    if [[ ! $dsn =~ ^apmapp:([0-9a-f]+)@tcp\(127\.0\.0\.1:[0-9]+\)/apmapp$ ]]; then
        echo "database: /etc/apmapp/dsn names one of your own; its user and grants are left to you"
    else
        password=${BASH_REMATCH[1]}
        put /etc/apmapp/dsn 600 root:root apmapp <<<"apmapp:$password@tcp(127.0.0.1:$port)/apmapp"
        if ! login apmapp "$password"; then
            # From standard input: a command line is for all to read.
            sql <<SQL
$unrecorded
CREATE USER IF NOT EXISTS apmapp@'127.0.0.1' IDENTIFIED BY '$password';
ALTER USER apmapp@'127.0.0.1' IDENTIFIED BY '$password';
SQL
            changed "MySQL's user apmapp"
        fi
        sql <<'SQL'
CREATE DATABASE IF NOT EXISTS apmapp;
-- Rows, and the tables that the service makes itself.
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX ON apmapp.* TO apmapp@'127.0.0.1';
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
        changed "MySQL's user datadog and its procedures"
        put /etc/apmapp/datadog.sql 644 root:root <"$agent_files/mysql/datadog.sql"
    fi
}

install_service() {
    packages logrotate
    if ! id apmapp >/dev/null 2>&1; then
        useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin apmapp
        changed 'user apmapp'
    fi
    # The Agent's user is put in the group, to read the log.
    directory /var/log/apmapp 750 apmapp:apmapp
    put /usr/local/bin/apmapp 755 root:root apmapp <"$bin/apmapp"
    put /usr/local/bin/loadgen 755 root:root apmapp-loadgen <"$bin/loadgen"
    put /etc/logrotate.d/apmapp 644 root:root <"$vm_files/apmapp.logrotate"
    put /etc/systemd/system/apmapp.service 644 root:root apmapp <"$vm_files/apmapp.service"
    put /etc/systemd/system/apmapp-loadgen.service 644 root:root apmapp-loadgen <"$vm_files/apmapp-loadgen.service"
}

install_agent() {
    local etc=/etc/datadog-agent
    if [[ ! -x /opt/datadog-agent/bin/agent/agent ]]; then
        if [[ ! $api_key ]]; then
            echo 'agent: skipped, DD_API_KEY is not set; run this again with it to install the Agent'
            return
        fi
        packages ca-certificates curl
        local script=${AGENT_INSTALL_SCRIPT:-}
        if [[ ! $script ]]; then
            script=$scratch/install_script_agent7.sh
            curl -fsSL --retry 3 -o "$script" https://install.datadoghq.com/scripts/install_script_agent7.sh ||
                fail "the Agent's install script cannot be had from install.datadoghq.com"
        fi
        # A datadog.yaml that is there is kept by the script, which then needs no key
        # and writes it nowhere.
        directory $etc 755 root:root
        put $etc/datadog.yaml 640 root:root <"$agent_files/datadog.yaml"
        (cd "$scratch" && DD_INSTALL_ONLY=true bash "$script") >"$scratch/agent.log" 2>&1 ||
            { cat "$scratch/agent.log" >&2; fail "the Agent's install script failed"; }
        [[ -x /opt/datadog-agent/bin/agent/agent ]] || fail "the Agent's install script installed no Agent"
        changed 'the Datadog Agent'
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
    local innodb='s/^/&/'
    [[ $server != mariadb ]] || innodb='s/disable_innodb_metrics: false/disable_innodb_metrics: true/'
    put $etc/conf.d/mysql.d/conf.yaml 640 dd-agent:dd-agent datadog-agent \
        < <(sed -e "$innodb" -e "s/port: 3306/port: $port/" "$agent_files/conf.d/mysql.d/conf.yaml")
    put $etc/conf.d/apmapp.d/conf.yaml 640 dd-agent:dd-agent datadog-agent <"$agent_files/conf.d/apmapp.d/conf.yaml"
    put $etc/conf.d/my_metric.yaml 640 dd-agent:dd-agent datadog-agent <"$agent_files/conf.d/my_metric.yaml"
    put $etc/checks.d/my_metric.py 640 dd-agent:dd-agent datadog-agent <"$agent_files/checks.d/my_metric.py"

    if ! id -nG dd-agent | grep -qw apmapp; then
        touch "$pending/datadog-agent"
        usermod --append --groups apmapp dd-agent
        changed 'dd-agent may read the log of apmapp'
    fi
}

# ready asks the service for /readyz, where /etc/apmapp/environment has it listen.
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
            changed "$name starts with the machine"
        fi
        if ! systemctl is-active --quiet "$name"; then
            systemctl start "$name"
            changed "$name runs"
        elif [[ -e $pending/$name ]]; then
            systemctl restart "$name"
            changed "$name runs anew"
        fi
        rm -f "$pending/$name"
    done
    local tries
    # The service binds its port within a second, and then the tables have to be made.
    for ((tries = 60; tries; tries--)); do
        ! ready || return 0
        sleep 0.5
    done
    systemctl --no-pager --full status apmapp >&2 || true
    fail 'apmapp is not ready; its log is /var/log/apmapp/apmapp.log'
}

find_programs
install_mysql
set_up_database
install_service
install_agent
start_services
if ((changes)); then
    echo "done, with $changes changes"
else
    echo 'done, nothing had to be changed'
fi
