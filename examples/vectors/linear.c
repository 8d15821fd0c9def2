/* A Linear layer written in C, checked against its vectors:  cc linear.c -o linear -lm && ./linear vectors/  */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { double *v, bound; long n, shape[8]; } Tensor;
static char *test, id[64], *header, *numbers; /* a safetensors file: 8 bytes of length, a header in JSON, the numbers */

static char *file(const char *folder, const char *name) {
    char path[4096], *text = calloc(1, 1 << 22);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    if (!f || !fread(text, 1, (1 << 22) - 1, f)) fprintf(stderr, "%s cannot be read\n", path), exit(2);
    return fclose(f), text;
}
/* A tensor in a section of the test: it has a line of its own. Numbers that are not in it stand in the other file. */
static Tensor get(const char *section, const char *name) {
    Tensor t = {.n = 0};
    char key[256], *p, *line, *end;
    snprintf(key, sizeof key, "\"%s\": {", section), p = strstr(test, key), end = strstr(p, "\n   }");
    snprintf(key, sizeof key, "\"%s\": {", name), line = strstr(p, key);
    if (!line || line > end) return t; /* there is none */
    end = strchr(line, '\n'), t.n = 1, p = strstr(line, "\"shape\": [") + 10;
    for (long axis = 0; *p != ']'; p += *p == ',') t.n *= t.shape[axis++] = strtol(p, &p, 10);
    if ((p = strstr(line, "\"bound\": ")) && p < end) t.bound = p[9] == 'n' ? INFINITY : strtod(p + 9, NULL);
    t.v = calloc(t.n + 1, sizeof *t.v), p = strstr(line, "\"data\": [");
    if (p && p < end) for (long i = 0; i < t.n; i++) p = strchr(p, i ? ',' : '[') + 1, t.v[i] = strtod(p, NULL);
    snprintf(key, sizeof key, "\"%s/%s/%s\":", id, section, name);
    if (!p || p > end) p = strstr(strstr(header, key), "offsets\":[") + 10, memcpy(t.v, numbers + atol(p), t.n * 8);
    return t;
}
static int differs(const char *section, const char *name, const double *have) {
    Tensor want = get(section, name);
    for (long i = 0; i < want.n; i++)
        if (!(fabs(have[i] - want.v[i]) <= want.bound)) /* written so that NaN is wrong, too */
            return printf("%s wrong: %s %s[%ld] is %.17g, not %.17g\n", id, section, name, i, have[i], want.v[i]);
    return 0;
}
int main(int argc, char **argv) {
    int wrong = 0;
    test = file(argc > 1 ? argv[1] : "vectors", "Linear.json");
    header = file(argc > 1 ? argv[1] : "vectors", "Linear.safetensors") + 8;
    numbers = header + *(int64_t *)(header - 8);
    for (; (test = strstr(test, "\"id\": ")) && sscanf(test, "\"id\": \"%63[^\"]", id); test++) {
        Tensor W = get("parameters", "weight"), b = get("parameters", "bias"), x = get("inputs", "x"), dy = get("dy", "y");
        double *y = calloc(dy.n + 1, 8), *dx = calloc(x.n + 1, 8), *dW = calloc(W.n + 1, 8), *db = calloc(dy.n + 1, 8);
        for (long O = W.shape[0], I = W.shape[1], k = 0; k < dy.n; k++) { /* y[n, o], n = k / O, o = k % O */
            const double d = dy.v[k], *xn = x.v + k / O * I, *Wo = W.v + k % O * I;
            for (long i = 0; i < I; i++) y[k] += xn[i] * Wo[i]; /* y = xWᵀ + b, dx = dy W, dW = dyᵀ x, db = Σ dy */
            for (long i = 0; i < I; i++) dx[k / O * I + i] += d * Wo[i], dW[k % O * I + i] += d * xn[i];
            y[k] += b.n ? b.v[k % O] : 0, db[k % O] += d;
        }
        int off = differs("outputs", "y", y) || differs("gradients", "x", dx);
        off = off || differs("gradients", "weight", dW) || differs("gradients", "bias", db);
        wrong += off || !printf("%s right\n", id);
    }
    return wrong > 0;
}
