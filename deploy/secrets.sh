#!/usr/bin/env bash
# secrets.sh DIR [compose|mysql|tidb|datadog]
#
# Makes secrets, a file each in DIR; what is there already stays as it is.
#
#   mysql     random passwords, and the service's DSN for a database at mysql:3306
#   tidb      the same for one at apmapp-tidb.tidb:4000
#   datadog   Datadog's keys, from DD_API_KEY and DD_APP_KEY
#   compose   as mysql, and the API key if DD_API_KEY holds one; the default
set -euo pipefail

usage() {
    echo "usage: secrets.sh DIR [compose|mysql|tidb|datadog]" >&2
    exit 2
}

# keep NAME: standard input becomes the file NAME, unless there is one. It has no
# newline at its end: not everyone who reads it would drop that.
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
    # 24 bytes are 192 bits; hex needs no quoting, in SQL or in a DSN.
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n'
}

# database ADDRESS USER...
database() {
    local user
    for user in "${@:2}"; do
        password | keep "mysql_${user}_password"
    done
    printf 'apmapp:%s@tcp(%s)/apmapp' "$(< "$dir/mysql_apmapp_password")" "$1" | keep dsn
}

# key VARIABLE NAME
key() {
    [[ -e $dir/$2 ]] && return
    if [[ ! ${!1:-} ]]; then
        echo "secrets.sh: $1 is not set: no $dir/$2" >&2
        return 1
    fi
    printf '%s' "${!1}" | keep "$2"
}

[[ $# == 1 || $# == 2 ]] || usage
dir=$1
what=${2:-compose}
[[ $what =~ ^(compose|mysql|tidb|datadog)$ ]] || usage

mkdir -p "$dir"
# Nobody else on this machine may look in. The files themselves are readable to
# all: in their containers other users than this one read them.
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
        key DD_API_KEY dd_api_key || echo "secrets.sh: the profile local does without" >&2
        ;;
esac
