/* SPDX-License-Identifier: Apache-2.0 */
/* Reed-Solomon: matrices here, the arithmetic by isa-l. Needs up to 32 KiB of stack: not for fibers. */
#include "codec/rs.h"

#include <isa-l/erasure_code.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"

static uint8_t
power(uint8_t x, unsigned n)
{
    uint8_t r = 1;

    while (n-- > 0)
        r = gf_mul(r, x);
    return r;
}

/* c = a * b; a: rows x n, b: n x n. */
static void
multiply(const uint8_t *a, const uint8_t *b, unsigned rows, unsigned n, uint8_t *c)
{
    for (unsigned r = 0; r < rows; r++)
        for (unsigned k = 0; k < n; k++) {
            uint8_t v = 0;

            for (unsigned i = 0; i < n; i++)
                v ^= gf_mul(a[r * n + i], b[i * n + k]);
            c[r * n + k] = v;
        }
}

int
rs_matrix(unsigned data, unsigned parity, uint8_t m[RS_MAX * RS_MAX])
{
    uint8_t vm[RS_MAX * RS_MAX], top[RS_MAX * RS_MAX], inv[RS_MAX * RS_MAX];

    if (data == 0 || data + parity > RS_MAX)
        return -AIS_E_INVAL;
    memset(vm, 0, sizeof(vm));
    for (unsigned r = 0; r < data + parity; r++)
        for (unsigned c = 0; c < data; c++)
            vm[r * data + c] = power((uint8_t)r, c);
    memcpy(top, vm, (size_t)data * data);
    if (gf_invert_matrix(top, inv, (int)data) != 0)
        return -AIS_E_INVAL;
    multiply(vm, inv, data + parity, data, m);
    return 0;
}

int
rs_row(unsigned data, unsigned parity, const uint8_t *have, unsigned want, uint8_t coef[RS_MAX])
{
    uint8_t m[RS_MAX * RS_MAX], sub[RS_MAX * RS_MAX], inv[RS_MAX * RS_MAX];
    int     rc = rs_matrix(data, parity, m);

    if (rc < 0)
        return rc;
    if (want >= data + parity)
        return -AIS_E_INVAL;
    for (unsigned i = 0; i < data; i++) {
        if (have[i] >= data + parity)
            return -AIS_E_INVAL;
        memcpy(sub + i * data, m + have[i] * data, data);
    }
    if (gf_invert_matrix(sub, inv, (int)data) != 0)
        return -AIS_E_INVAL; /* a slice given twice */
    multiply(m + want * data, inv, 1, data, coef);
    return 0;
}

void
rs_combine(const uint8_t *coef, unsigned n, uint8_t *const *src, size_t len, uint8_t *out)
{
    uint8_t tables[32 * RS_MAX], c[RS_MAX], *s[RS_MAX];

    ASSERT_CMP(n, <=, (unsigned)RS_MAX, "u");
    memcpy(c, coef, n);
    for (unsigned i = 0; i < n; i++)
        s[i] = src[i];
    ec_init_tables((int)n, 1, c, tables);
    ec_encode_data((int)len, (int)n, 1, tables, s, &out);
}
