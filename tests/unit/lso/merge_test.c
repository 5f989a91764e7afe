/* SPDX-License-Identifier: Apache-2.0 */
#include "../../../node/lso/merge.c"

#include <stdio.h>
#include <stdlib.h>

#include "unit.h"

#define NSRC 4

/* Four targets with sorted names; `per` entries a page, as a real one would answer. */
struct world {
    const char *names[NSRC][16];
    unsigned    per;
    bool        msgpack;
    struct sbuf pages[64];
    unsigned    npages;
};

static struct str
world_page(struct world *w, unsigned i, struct str after)
{
    const struct lso_ask ask = { .max = w->per, .msgpack = w->msgpack };
    struct sbuf         *sb = &w->pages[w->npages++];
    struct lso_page      p;
    unsigned             k, n = 0;
    bool                 more = false;

    sbuf_init(sb, 64 * KIB);
    lso_page_begin(&p, sb, &ask);
    for (k = 0; w->names[i][k] != NULL; k++) {
        struct lent le = { .name = str_z(w->names[i][k]) };

        if (str_cmp(le.name, after) <= 0)
            continue;
        if (n++ == w->per) {
            more = true;
            break;
        }
        if (str_ends(le.name, STR_LIT("/")))
            lso_page_dir(&p, le.name);
        else
            lso_page_ent(&p, &le, STR_NULL);
    }
    lso_page_end(&p, &(struct lso_state){ .more = more, .flags = i == 1 ? 1 : 0, .smap_ver = 7, .rmd_ver = 9 });
    return sbuf_str(sb);
}

/* Merge one client page and return the names as "a,b,c"; *refills counts further questions. */
static int
world_merge(struct world *w, uint32_t max, struct str after, struct sbuf *out, struct str *last, unsigned *refills)
{
    struct lso_src   src[NSRC];
    unsigned         heap[NSRC], i;
    struct lso_merge m;
    int              rc;

    for (i = 0; i < NSRC; i++)
        assert_int_equal(lso_src_open(&src[i], world_page(w, i, after), w->msgpack), 0);
    lso_merge_init(&m, src, heap, NSRC, w->msgpack, max, out);
    while ((rc = lso_merge_run(&m)) >= 0) {
        (*refills)++;
        assert_int_equal(lso_src_open(&src[rc], world_page(w, (unsigned)rc, src[rc].name), w->msgpack), 0);
    }
    *last = m.last;
    return rc;
}

static void
world_fini(struct world *w)
{
    while (w->npages > 0)
        sbuf_fini(&w->pages[--w->npages]);
}

#define E(n) "{\"name\":\"" n "\",\"flags\":64}"
#define S(n, s) "{\"name\":\"" n "\",\"size\":\"" #s "\",\"flags\":64}"
#define D(n) "{\"name\":\"" n "\",\"flags\":256}"

static const struct world four = {
    .names = { { "a", "e", "f", "k", NULL }, { "b", "c", "d", NULL }, { NULL }, { "g", "h", NULL } },
    .per = 100,
};

static void
names_come_in_order_from_all_sources(void **state)
{
    struct world w = four;
    struct sbuf  out;
    struct str   last;
    unsigned     refills = 0;

    (void)state;
    sbuf_init(&out, 64 * KIB);
    assert_int_equal(world_merge(&w, 100, STR_NULL, &out, &last, &refills), LSO_END);
    assert_string_equal(out.p, E("a") "," E("b") "," E("c") "," E("d") "," E("e") "," E("f") "," E("g") "," E("h") "," E("k"));
    assert_int_equal(refills, 0);
    world_fini(&w);
    sbuf_fini(&out);
}

static void
a_dry_source_is_asked_again_before_anything_is_skipped(void **state)
{
    struct world w = four;
    struct sbuf  out;
    struct str   last;
    unsigned     refills = 0;

    (void)state;
    w.per = 1;
    sbuf_init(&out, 64 * KIB);
    assert_int_equal(world_merge(&w, 100, STR_NULL, &out, &last, &refills), LSO_END);
    assert_string_equal(out.p, E("a") "," E("b") "," E("c") "," E("d") "," E("e") "," E("f") "," E("g") "," E("h") "," E("k"));
    assert_int_equal(refills, 6);
    world_fini(&w);
    sbuf_fini(&out);
}

static void
a_full_page_stops_and_its_last_name_is_the_token(void **state)
{
    struct world w = four;
    struct sbuf  out;
    struct str   last;
    unsigned     refills = 0;

    (void)state;
    sbuf_init(&out, 64 * KIB);
    assert_int_equal(world_merge(&w, 3, STR_NULL, &out, &last, &refills), LSO_FULL);
    assert_string_equal(out.p, E("a") "," E("b") "," E("c"));
    assert_true(str_eqz(last, "c"));
    sbuf_reset(&out);
    assert_int_equal(world_merge(&w, 6, last, &out, &last, &refills), LSO_FULL); /* an exact fit is full, too */
    assert_true(str_eqz(last, "k"));
    sbuf_reset(&out);
    assert_int_equal(world_merge(&w, 6, last, &out, &last, &refills), LSO_END);
    assert_int_equal(out.n, 0);
    world_fini(&w);
    sbuf_fini(&out);
}

static void
a_name_that_two_sources_have_comes_once(void **state)
{
    struct world w = { .names = { { "a", "d/", NULL }, { "a", "d/", "z", NULL }, { "d/", NULL }, { "b", NULL } }, .per = 1 };
    struct sbuf  out;
    struct str   last;
    unsigned     refills = 0;

    (void)state;
    sbuf_init(&out, 64 * KIB);
    assert_int_equal(world_merge(&w, 100, STR_NULL, &out, &last, &refills), LSO_END);
    assert_string_equal(out.p, E("a") "," E("b") "," D("d/") "," E("z"));
    world_fini(&w);
    sbuf_fini(&out);
}

/* --- generations --- */

/* "name@smap_ver", "-name@smap_ver" for a deletion. */
static struct str
gens_page(struct sbuf *sb, const char *const *recs)
{
    const struct lso_ask ask = { .max = 100, .props = LSP_SIZE };
    struct lso_page      p;

    sbuf_init(sb, 64 * KIB);
    lso_page_begin_gens(&p, sb, &ask);
    for (; *recs != NULL; recs++) {
        const char *at = strchr(*recs, '@'), *from = **recs == '-' ? *recs + 1 : *recs;
        struct gen  g = { .term = 1, .smap_ver = strtoull(at + 1, NULL, 10) };
        struct lent le = { .name = str_from(from, (size_t)(at - from)), .size = g.smap_ver };

        lso_page_gen(&p, &g);
        if (**recs == '-')
            lso_page_tomb(&p, le.name);
        else
            lso_page_ent(&p, &le, STR_NULL);
    }
    lso_page_end(&p, &(struct lso_state){ .smap_ver = 3, .rmd_ver = 4 });
    return sbuf_str(sb);
}

static void
expect_merge(const char *const *a, const char *const *b, uint32_t max, const char *want, const char *last)
{
    struct lso_src   src[2];
    struct sbuf      pa, pb, out;
    unsigned         heap[2];
    struct lso_merge m;
    int              rc;

    for (int turn = 0; turn < 2; turn++) { /* whoever comes first */
        sbuf_init(&out, 64 * KIB);
        assert_int_equal(lso_src_open(&src[turn], gens_page(&pa, a), false), 0);
        assert_int_equal(lso_src_open(&src[1 - turn], gens_page(&pb, b), false), 0);
        assert_int_equal(src[0].state.smap_ver, 3);
        assert_int_equal(src[0].state.rmd_ver, 4);
        lso_merge_init(&m, src, heap, 2, false, max, &out);
        rc = lso_merge_run(&m);
        assert_int_equal(rc, m.nout == max ? LSO_FULL : LSO_END);
        assert_true(str_eqz(sbuf_str(&out), want));
        assert_true(str_eqz(m.last, last));
        sbuf_fini(&pa);
        sbuf_fini(&pb);
        sbuf_fini(&out);
    }
}

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void
of_one_name_the_newest_generation_counts(void **state)
{
    (void)state;
    expect_merge(LIST("a@1", "b@9", "c@3"), LIST("a@2", "b@300", "c@3"), 9, S("a", 2) "," S("b", 300) "," S("c", 3), "c");
}

static void
a_newer_deletion_hides_what_others_still_have(void **state)
{
    (void)state;
    expect_merge(LIST("a@1", "b@5", "c@1"), LIST("-a@2", "-b@4"), 9, S("b", 5) "," S("c", 1), "c");
    expect_merge(LIST("a@1"), LIST("-a@2"), 9, "", "");
    expect_merge(LIST("a@1", "-b@1"), LIST("-a@2", "-b@7", "c\"@1"), 1, S("c\\\"", 1), "c\"");
}

static void
escaped_names_are_ordered_by_their_bytes(void **state)
{
    struct world w = { .names = { { "a\"", "a#", NULL }, { "a!", "a\\", NULL }, { NULL }, { NULL } }, .per = 10 };
    struct sbuf  out;
    struct str   last;
    unsigned     refills = 0;

    (void)state;
    sbuf_init(&out, 64 * KIB);
    assert_int_equal(world_merge(&w, 100, STR_NULL, &out, &last, &refills), LSO_END);
    assert_string_equal(out.p, E("a!") "," E("a\\\"") "," E("a#") "," E("a\\\\"));
    world_fini(&w);
    sbuf_fini(&out);
}

static void
a_cut_or_bent_page_is_refused_not_believed(void **state)
{
    struct world   w = four;
    struct str     page = world_page(&w, 0, STR_NULL);
    struct lso_src s;
    char           copy[512];
    size_t         n, i;
    unsigned       bit;

    (void)state;
    assert_true(page.n <= sizeof(copy));
    for (n = 0; n < page.n; n++)
        assert_true(lso_src_open(&s, str_from(page.p, n), false) < 0);
    assert_true(lso_src_open(&s, page, true) < 0);
    for (i = 0; i < page.n; i++)
        for (bit = 0; bit < 8; bit++) {
            memcpy(copy, page.p, page.n);
            copy[i] = (char)(copy[i] ^ (1 << bit));
            if (lso_src_open(&s, str_from(copy, page.n), false) < 0)
                continue;
            while (s.valid && lso_src_next(&s) == 0)
                assert_true(!s.valid || (s.ent.p >= copy && s.ent.p + s.ent.n <= copy + page.n));
        }
    world_fini(&w);
}

static void
an_empty_page_that_promises_more_is_refused(void **state)
{
    const struct lso_ask ask = { .max = 1 };
    struct lso_page      p;
    struct lso_src       s;
    struct sbuf          sb;

    (void)state;
    sbuf_init(&sb, 1024);
    lso_page_begin(&p, &sb, &ask);
    lso_page_end(&p, &(struct lso_state){ .more = true });
    assert_true(lso_src_open(&s, sbuf_str(&sb), false) < 0);
    sbuf_fini(&sb);
}

static void
documents_look_like_the_original_s(void **state)
{
    static const unsigned char want[] = "\x84\xa4UUID\xa1Q\xb1" "ContinuationToken\xa0\xa7" "Entries\x91\x83\xa1n\xa1" "a\xa1s\x03\xa1"
                                        "f\x40\xa5" "Flags\x00";
    struct sbuf                sb;

    (void)state;
    sbuf_init(&sb, 1024);
    lso_res_head(&sb, false, STR_LIT("Q"), STR_LIT("t\""), 1);
    sbuf_putz(&sb, E("a"));
    lso_res_tail(&sb, false, 1, 0);
    assert_string_equal(sb.p, "{\"uuid\":\"Q\",\"continuation_token\":\"t\\\"\",\"entries\":[" E("a") "],\"flags\":0}");
    sbuf_reset(&sb);
    lso_res_head(&sb, false, STR_LIT("Q"), STR_NULL, 0);
    lso_res_tail(&sb, false, 0, 1);
    assert_string_equal(sb.p, "{\"uuid\":\"Q\",\"continuation_token\":\"\",\"entries\":null,\"flags\":1}");
    sbuf_reset(&sb);
    lso_res_head(&sb, true, STR_LIT("Q"), STR_NULL, 1);
    sbuf_put(&sb, "\x83\xa1n\xa1" "a\xa1s\x03\xa1" "f\x40", 11);
    lso_res_tail(&sb, true, 1, 0);
    assert_int_equal(sb.n, sizeof(want) - 1);
    assert_memory_equal(sb.p, want, sb.n);
    sbuf_fini(&sb);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_come_in_order_from_all_sources),
        cmocka_unit_test(a_dry_source_is_asked_again_before_anything_is_skipped),
        cmocka_unit_test(a_full_page_stops_and_its_last_name_is_the_token),
        cmocka_unit_test(a_name_that_two_sources_have_comes_once),
        cmocka_unit_test(of_one_name_the_newest_generation_counts),
        cmocka_unit_test(a_newer_deletion_hides_what_others_still_have),
        cmocka_unit_test(escaped_names_are_ordered_by_their_bytes),
        cmocka_unit_test(a_cut_or_bent_page_is_refused_not_believed),
        cmocka_unit_test(an_empty_page_that_promises_more_is_refused),
        cmocka_unit_test(documents_look_like_the_original_s),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
