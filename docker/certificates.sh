#!/bin/sh
# Makes an authority for one cluster, and a certificate that it has signed, of a year each.
#
#   docker/certificates.sh FOLDER
#
# FOLDER then holds ca.crt, ca.key, tls.crt and tls.key, the names of a Kubernetes TLS secret.
# Scheduler, workers and clients all show tls.crt: whoever has tls.key may run code on the
# cluster. ca.key signs more certificates: keep it away from the cluster, or delete it.
set -eu

if [ $# -ne 1 ]; then
    echo "usage: docker/certificates.sh FOLDER" >&2
    exit 2
fi
if [ -e "$1/ca.crt" ]; then
    echo "docker/certificates.sh: $1 has certificates already. Remove them, or name another folder." >&2
    exit 2
fi
umask 077
mkdir -p "$1"
cd "$1"

new_key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
openssl req -x509 $new_key -days 365 -subj "/CN=dlsort authority" -keyout ca.key -out ca.crt 2>/dev/null
# Dask asks who has signed a certificate, not whose name is in it.
openssl req $new_key -subj "/CN=dlsort cluster" -keyout tls.key -out tls.csr 2>/dev/null
openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -out tls.crt 2>/dev/null
rm -f tls.csr ca.srl
