#!/usr/bin/env bash
# secrets.sh DIR [compose|mysql|tidb|datadog]
#
# Makes secrets in DIR, one file each. Existing files stay unchanged.
#
#   mysql     random passwords, and the service's DSN for a database at mysql:3306
#   tidb      the same for a database at apmapp-tidb.tidb:4000
#   datadog   Datadog's keys from DD_API_KEY and DD_APP_KEY
#   compose   (default) like mysql, and the API key if DD_API_KEY is set
set -euo pipefail

usage() {
    echo "usage: secrets.sh DIR [compose|mysql|tidb|datadog]" >&2
    exit 2
}

# keep NAME writes standard input to the file NAME, unless the file exists. The input
# must not end with a newline: some programs would read it as part of the secret.
keep() {
    if [[ -e $dir/$1 ]]; then
        cat > /dev/null
        return
    fi
    cat > "$dir/$1.partial"
    mv "$dir/$1.partial" "$dir/$1"
    echo "made $dir/$1"
}

password() {
    # 24 bytes are 192 bits. Hexadecimal digits need no quotes in SQL and in a DSN.
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n'
}

# database ADDRESS USER... makes a password for each user, and the DSN.
database() {
    local user
    for user in "${@:2}"; do
        password | keep "mysql_${user}_password"
    done
    printf 'apmapp:%s@tcp(%s)/apmapp' "$(< "$dir/mysql_apmapp_password")" "$1" | keep dsn
}

# key VARIABLE NAME writes the value of an environment variable to the file NAME.
key() {
    [[ -e $dir/$2 ]] && return
    if [[ ! ${!1:-} ]]; then
        echo "secrets.sh: $1 is not set, so $dir/$2 is not made" >&2
        return 1
    fi
    printf '%s' "${!1}" | keep "$2"
}

[[ $# == 1 || $# == 2 ]] || usage
dir=$1
what=${2:-compose}
[[ $what =~ ^(compose|mysql|tidb|datadog)$ ]] || usage

mkdir -p "$dir"
# No other user of this machine can open the directory. The files are readable by
# everyone, because other users read them in the containers.
chmod 700 "$dir"
umask 022

case $what in
    mysql) database mysql:3306 root apmapp datadog ;;
    tidb) database apmapp-tidb.tidb:4000 root apmapp ;;
    datadog)
        key DD_API_KEY dd_api_key
        key DD_APP_KEY dd_app_key
        ;;
    compose)
        database mysql:3306 root apmapp datadog
        key DD_API_KEY dd_api_key || echo "secrets.sh: the profile local does not need it" >&2
        ;;
esac
