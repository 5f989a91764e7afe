/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates made on the spot. */
#ifndef UNIT_TLS_H
#define UNIT_TLS_H

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <unistd.h>

struct id {
    char  cert[128], key[128];
    EVP_PKEY *pkey;
    X509     *x509;
};

static inline void
extend(X509 *x, int nid, const char *value)
{
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    assert_non_null(ext);
    assert_int_equal(1, X509_add_ext(x, ext, -1));
    X509_EXTENSION_free(ext);
}

static inline void
write_pem(struct id *id, const char *dir, const char *name)
{
    FILE *f;

    snprintf(id->cert, sizeof(id->cert), "%s/%s.crt", dir, name);
    snprintf(id->key, sizeof(id->key), "%s/%s.key", dir, name);
    f = fopen(id->cert, "we");
    assert_int_equal(1, PEM_write_X509(f, id->x509));
    fclose(f);
    f = fopen(id->key, "we");
    assert_int_equal(1, PEM_write_PrivateKey(f, id->pkey, NULL, NULL, 0, NULL, NULL));
    fclose(f);
}

/* Signed by `by`, or by itself when that is NULL. */
static inline void
issue(struct id *id, const char *dir, const char *name, const struct id *by, const char *san)
{
    static long serial;
    X509_NAME  *n;

    id->pkey = EVP_EC_gen("P-256");
    id->x509 = X509_new();
    X509_set_version(id->x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(id->x509), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(id->x509), -60);
    X509_gmtime_adj(X509_getm_notAfter(id->x509), 3600);
    n = X509_get_subject_name(id->x509);
    X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(id->x509, by == NULL ? n : X509_get_subject_name(by->x509));
    X509_set_pubkey(id->x509, id->pkey);
    if (by == NULL)
        extend(id->x509, NID_basic_constraints, "critical,CA:TRUE");
    if (san != NULL)
        extend(id->x509, NID_subject_alt_name, san);
    assert_true(X509_sign(id->x509, by == NULL ? id->pkey : by->pkey, EVP_sha256()) > 0);
    write_pem(id, dir, name);
}

static inline void
forget(struct id *id)
{
    unlink(id->cert);
    unlink(id->key);
    X509_free(id->x509);
    EVP_PKEY_free(id->pkey);
}

#endif
