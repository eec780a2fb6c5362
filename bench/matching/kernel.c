/* A reference in C: the same columns, both sides' lists kept up, every change answered by a brute scan of the other side.
 *
 * Lists are unsorted, with slack: a post's holds up to 64 seekers, a seeker's up to 32 posts. `floor` is the best value
 * that was left out; whoever is above it stands in the list, so that no reverse index is needed. A value is a score and,
 * in its lower half, the place in the order of ties, so that no two are equal. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    uint8_t *kinds, *wanted;
    int32_t *floor, *limit, *placed_on, *steady;
    uint32_t *skills;
    double *home;   /* x, y, z of each */
    uint64_t *free, *busy; /* six words of each */
} Seekers;

typedef struct {
    uint8_t *kind, *located, *offered;
    int32_t *pay, *minutes, *asked;
    uint32_t *required, *desired;
    double *place;
    uint64_t *hours;
} Posts;

typedef struct {
    int64_t weights[5]; /* time fit, distance, skills, pay, facilities */
    double radius_m;
} Rules;

enum { POST_SLOTS = 64, POST_TOP = 50, SEEKER_SLOTS = 32, SEEKER_TOP = 20 };

typedef struct {
    uint64_t floor;
    int32_t count;
    int32_t who[POST_SLOTS];
    uint64_t value[POST_SLOTS];
} List;

typedef struct {
    Rules rules;
    Seekers s;
    Posts p;
    int32_t n, m;
    const uint32_t *tie_s, *tie_p; /* larger is better */
    List *of_post, *of_seeker;
    int32_t *short_posts, *short_seekers;
    int32_t n_short_posts, n_short_seekers;
} City;

static inline int64_t share(int64_t part, int64_t whole) { return whole ? 1000 * part / whole : 1000; }

/* The score of a pair, or -1. */
static inline int64_t pair(const City *c, const Seekers *s, int32_t i, const Posts *p, int32_t j, int32_t post) {
    if (!(s->kinds[i] & p->kind[j]) || s->floor[i] > p->pay[j] || (p->required[j] & ~s->skills[i])) return -1;
    if (s->placed_on[i] == post) return -1;
    const int64_t *w = c->rules.weights;
    int64_t total = s->steady[i], limit = s->limit[i];
    if (p->located[j]) {
        const double *a = s->home + 3 * (size_t)i, *b = p->place + 3 * (size_t)j;
        double dx = a[0] - b[0], dy = a[1] - b[1], dz = a[2] - b[2];
        double square = dx * dx + dy * dy + dz * dz, reach = (double)(limit + 1) / c->rules.radius_m;
        if (square > reach * reach) return -1; /* a chord is shorter than its arc */
        double half = sqrt(square) / 2.0, q = half * half;
        double arc = half * (1.0 + q * (1.0 / 6.0 + q * (3.0 / 40.0 + q * (5.0 / 112.0))));
        int64_t away = (int64_t)(2.0 * c->rules.radius_m * arc + 0.5);
        if (away > limit) return -1;
        total += w[1] * (1000 * (limit - away) / limit);
    } else
        total += w[1] * 1000;
    if (p->minutes[j]) {
        const uint64_t *h = p->hours + 6 * (size_t)j, *f = s->free + 6 * (size_t)i, *b = s->busy + 6 * (size_t)i;
        uint64_t clash = 0;
        int64_t overlap = 0;
        for (int k = 0; k < 6; k++) clash |= h[k] & b[k], overlap += __builtin_popcountll(h[k] & f[k]);
        overlap *= 30;
        if (clash || overlap < p->asked[j]) return -1;
        total += w[0] * (1000 * overlap / p->minutes[j]);
    } else
        total += w[0] * 1000;
    total += w[2] * share(__builtin_popcount(p->desired[j] & s->skills[i]), __builtin_popcount(p->desired[j]));
    int64_t floor = s->floor[i], surplus = share(p->pay[j] - floor, floor);
    total += w[3] * (surplus < 1000 ? surplus : 1000);
    return total + w[4] * share(__builtin_popcount(s->wanted[i] & p->offered[j]), __builtin_popcount(s->wanted[i]));
}

static inline uint64_t value_of(int64_t score, uint32_t tie) { return score < 0 ? 0 : (uint64_t)score << 32 | tie; }

static void leave(List *l, int32_t who) {
    for (int k = 0; k < l->count; k++)
        if (l->who[k] == who) {
            l->count--;
            l->who[k] = l->who[l->count], l->value[k] = l->value[l->count];
            return;
        }
}

static void enter(List *l, int32_t slots, int32_t who, uint64_t value) {
    if (value <= l->floor) return;
    if (l->count < slots) {
        l->who[l->count] = who, l->value[l->count++] = value;
        return;
    }
    int least = 0;
    for (int k = 1; k < slots; k++)
        if (l->value[k] < l->value[least]) least = k;
    if (value < l->value[least]) {
        l->floor = value;
        return;
    }
    l->floor = l->value[least];
    l->who[least] = who, l->value[least] = value;
}

static void moved(List *l, int32_t slots, int32_t top, int32_t who, uint64_t old, uint64_t now, int32_t *shorts, int32_t *count, int32_t mine) {
    if (old == now) return;
    if (old > l->floor) leave(l, who);
    enter(l, slots, who, now);
    if (l->floor && l->count < top) shorts[(*count)++] = mine;
}

static void rebuild_post(City *c, int32_t j) {
    List *l = &c->of_post[j];
    l->count = 0, l->floor = 0;
    if (!c->p.kind[j]) return;
    for (int32_t i = 0; i < c->n; i++) {
        uint64_t v = value_of(pair(c, &c->s, i, &c->p, j, j), c->tie_s[i]);
        if (v > l->floor) enter(l, POST_SLOTS, i, v);
    }
}

static void rebuild_seeker(City *c, int32_t i) {
    List *l = &c->of_seeker[i];
    l->count = 0, l->floor = 0;
    if (!c->s.kinds[i]) return;
    for (int32_t j = 0; j < c->m; j++) {
        uint64_t v = value_of(pair(c, &c->s, i, &c->p, j, j), c->tie_p[j]);
        if (v > l->floor) enter(l, SEEKER_SLOTS, j, v);
    }
}

static void copy_seeker(Seekers *to, int32_t i, const Seekers *from, int32_t k) {
    to->kinds[i] = from->kinds[k], to->wanted[i] = from->wanted[k], to->floor[i] = from->floor[k];
    to->limit[i] = from->limit[k], to->placed_on[i] = from->placed_on[k], to->steady[i] = from->steady[k];
    to->skills[i] = from->skills[k];
    memcpy(to->home + 3 * (size_t)i, from->home + 3 * (size_t)k, 24);
    memcpy(to->free + 6 * (size_t)i, from->free + 6 * (size_t)k, 48);
    memcpy(to->busy + 6 * (size_t)i, from->busy + 6 * (size_t)k, 48);
}

static void copy_post(Posts *to, int32_t j, const Posts *from, int32_t k) {
    to->kind[j] = from->kind[k], to->located[j] = from->located[k], to->offered[j] = from->offered[k];
    to->pay[j] = from->pay[k], to->minutes[j] = from->minutes[k], to->asked[j] = from->asked[k];
    to->required[j] = from->required[k], to->desired[j] = from->desired[k];
    memcpy(to->place + 3 * (size_t)j, from->place + 3 * (size_t)k, 24);
    memcpy(to->hours + 6 * (size_t)j, from->hours + 6 * (size_t)k, 48);
}

static void steady_changed(City *c, int32_t i, int32_t steady) {
    int64_t by = steady - c->s.steady[i];
    List *mine = &c->of_seeker[i];
    c->s.steady[i] = steady;
    if (!by || !c->s.kinds[i]) return;
    mine->count = 0, mine->floor = 0;
    for (int32_t j = 0; j < c->m; j++) {
        int64_t score = pair(c, &c->s, i, &c->p, j, j);
        if (score < 0) continue;
        enter(mine, SEEKER_SLOTS, j, value_of(score, c->tie_p[j]));
        moved(&c->of_post[j], POST_SLOTS, POST_TOP, i, value_of(score - by, c->tie_s[i]), value_of(score, c->tie_s[i]),
              c->short_posts, &c->n_short_posts, j);
    }
}

static void seeker_changed(City *c, int32_t i, const Seekers *e, int32_t k) {
    List *mine = &c->of_seeker[i];
    mine->count = 0, mine->floor = 0;
    for (int32_t j = 0; j < c->m; j++) {
        int64_t old = pair(c, &c->s, i, &c->p, j, j), now = pair(c, e, k, &c->p, j, j);
        if (old < 0 && now < 0) continue;
        if (now >= 0) enter(mine, SEEKER_SLOTS, j, value_of(now, c->tie_p[j]));
        moved(&c->of_post[j], POST_SLOTS, POST_TOP, i, value_of(old, c->tie_s[i]), value_of(now, c->tie_s[i]),
              c->short_posts, &c->n_short_posts, j);
    }
    copy_seeker(&c->s, i, e, k);
}

static void post_changed(City *c, int32_t j, const Posts *e, int32_t k) {
    List *mine = &c->of_post[j];
    mine->count = 0, mine->floor = 0;
    for (int32_t i = 0; i < c->n; i++) {
        int64_t old = pair(c, &c->s, i, &c->p, j, j), now = pair(c, &c->s, i, e, k, j);
        if (old < 0 && now < 0) continue;
        if (now >= 0) enter(mine, POST_SLOTS, i, value_of(now, c->tie_s[i]));
        moved(&c->of_seeker[i], SEEKER_SLOTS, SEEKER_TOP, j, value_of(old, c->tie_p[j]), value_of(now, c->tie_p[j]),
              c->short_seekers, &c->n_short_seekers, i);
    }
    copy_post(&c->p, j, e, k);
}

City *build(const Rules *rules, const Seekers *s, int32_t n, const Posts *p, int32_t m, const uint32_t *tie_s, const uint32_t *tie_p) {
    City *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->rules = *rules, c->s = *s, c->p = *p, c->n = n, c->m = m, c->tie_s = tie_s, c->tie_p = tie_p;
    c->of_post = calloc((size_t)m, sizeof(List)), c->of_seeker = calloc((size_t)n, sizeof(List));
    c->short_posts = calloc((size_t)m, 4), c->short_seekers = calloc((size_t)n, 4);
    if (!c->of_post || !c->of_seeker || !c->short_posts || !c->short_seekers) return NULL;
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j < m; j++) {
            int64_t score = pair(c, &c->s, i, &c->p, j, j);
            if (score < 0) continue;
            enter(&c->of_post[j], POST_SLOTS, i, value_of(score, tie_s[i]));
            enter(&c->of_seeker[i], SEEKER_SLOTS, j, value_of(score, tie_p[j]));
        }
    return c;
}

void drop(City *c) {
    free(c->of_post), free(c->of_seeker), free(c->short_posts), free(c->short_seekers), free(c);
}

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Apply events until they or the seconds are used up. Returns how many were applied; `taken_s` is how long it took. */
int64_t run(City *c, int64_t events, const int8_t *change, const int32_t *row, const int32_t *place, const int32_t *who,
            const int32_t *steady, const Seekers *es, const Posts *ep, double seconds, double *taken_s) {
    double begun = now_s();
    int64_t event = 0;
    while (event < events && now_s() - begun < seconds) {
        int32_t k = place[event];
        switch (change[event]) {
        case 0: steady_changed(c, who[k], steady[k]); break;
        case 1: case 3: seeker_changed(c, row[event], es, k); break;
        default: post_changed(c, row[event], ep, k);
        }
        for (int k2 = 0; k2 < c->n_short_posts; k2++) rebuild_post(c, c->short_posts[k2]);
        for (int k2 = 0; k2 < c->n_short_seekers; k2++) rebuild_seeker(c, c->short_seekers[k2]);
        c->n_short_posts = c->n_short_seekers = 0;
        event++;
    }
    *taken_s = now_s() - begun;
    return event;
}

/* A post's list, unsorted, as values; returns how many. */
int32_t list_of_post(const City *c, int32_t j, int32_t *who, int64_t *score) {
    const List *l = &c->of_post[j];
    for (int k = 0; k < l->count; k++) who[k] = l->who[k], score[k] = (int64_t)(l->value[k] >> 32);
    return l->count;
}
