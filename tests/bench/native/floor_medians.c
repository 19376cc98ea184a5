/* What spread-analyst makes of the minutes that end in one second, in bare C over the very numbers that
 * it had: the median of each minute's samples, quantiles of the medians of four hours, AR(1) of them. By
 * partition: nothing is put in order that is not asked for.
 *
 * Prints one JSON object: the least CPU of many rounds in milliseconds, and the sums of what was found,
 * for who has the same to compare. Arguments: rounds, a file of doubles: by series 60 samples, then 240
 * medians, the oldest first; NaN where there is none.
 */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SAMPLES = 60, MINUTES = 240, SERIES = SAMPLES + MINUTES, SHARES = 5, STEP_S = 60 };
enum { NEEDED = 30 }; /* consecutive minutes that a half-life is drawn from */

static const double share[SHARES] = {0.5, 0.05, 0.25, 0.75, 0.95};
static const char *const name[SHARES] = {"median", "q05", "q25", "q75", "q95"};

typedef struct found {
    double minute, of_share[SHARES], half_life_s;
} found;

static double cpu_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* Puts the value of that rank in its place, with none that is higher before it (Hoare). */
static double select_rank(double *values, int count, int rank) {
    int low = 0, high = count - 1;
    while (low < high) {
        double pivot = values[rank];
        int i = low, j = high;
        do {
            while (values[i] < pivot)
                i++;
            while (pivot < values[j])
                j--;
            if (i <= j) {
                double kept = values[i];
                values[i++] = values[j];
                values[j--] = kept;
            }
        } while (i <= j);
        if (j < rank) low = i;
        if (rank < i) high = j;
    }
    return values[rank];
}

static double quantile(double *values, int count, double of) {
    if (count == 0) return NAN;
    double at = of * (count - 1);
    int below = (int)floor(at), above = below + 1 < count ? below + 1 : below;
    double lower = select_rank(values, count, below);
    double upper = above == below ? lower : select_rank(values, count, above);
    return lower + (upper - lower) * (at - below);
}

static int known_of(const double *values, int count, double *into) {
    int known = 0;
    for (int i = 0; i < count; i++)
        if (!isnan(values[i])) into[known++] = values[i];
    return known;
}

static double half_life_s(const double *series) {
    double sums[2] = {0}, square = 0, product = 0;
    int pairs = 0;
    for (int i = 0; i + 1 < MINUTES; i++) {
        if (isnan(series[i]) || isnan(series[i + 1])) continue;
        sums[0] += series[i];
        sums[1] += series[i + 1];
        pairs++;
    }
    for (int i = 0; i + 1 < MINUTES; i++) {
        if (isnan(series[i]) || isnan(series[i + 1])) continue;
        double before = series[i] - sums[0] / pairs, after = series[i + 1] - sums[1] / pairs;
        square += before * before;
        product += before * after;
    }
    double phi = product / square;
    return phi > 0 && phi < 1 && pairs >= NEEDED ? STEP_S * log(0.5) / log(phi) : NAN;
}

static void look(const double *series, size_t count, found *into) {
    double kept[MINUTES];
    for (size_t at = 0; at < count; at++, series += SERIES) {
        into[at].minute = quantile(kept, known_of(series, SAMPLES, kept), 0.5);
        int known = known_of(series + SAMPLES, MINUTES, kept);
        for (int i = 0; i < SHARES; i++)
            into[at].of_share[i] = quantile(kept, known, share[i]);
        into[at].half_life_s = half_life_s(series + SAMPLES);
    }
}

static double *read_all(const char *path, size_t *count) {
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) abort();
    long bytes = ftell(file);
    if (bytes <= 0 || (size_t)bytes % (SERIES * sizeof(double)) != 0) abort();
    double *values = malloc((size_t)bytes);
    rewind(file);
    if (values == NULL || fread(values, 1, (size_t)bytes, file) != (size_t)bytes) abort();
    fclose(file);
    *count = (size_t)bytes / (SERIES * sizeof(double));
    return values;
}

int main(int count, char **words) {
    if (count != 3) return 2;
    size_t rounds = strtoul(words[1], NULL, 10), series;
    double *values = read_all(words[2], &series), least = INFINITY;
    found *all = calloc(series, sizeof *all), sums = {0};
    if (all == NULL) abort();
    for (size_t round = 0; round < rounds; round++) {
        double since_ms = cpu_ms();
        look(values, series, all);
        double taken = cpu_ms() - since_ms;
        least = taken < least ? taken : least;
    }
    for (size_t at = 0; at < series; at++) {
        sums.minute += all[at].minute;
        for (int i = 0; i < SHARES; i++)
            sums.of_share[i] += all[at].of_share[i];
        sums.half_life_s += isnan(all[at].half_life_s) ? 0 : all[at].half_life_s;
    }
    printf("{\"stats.medians\": %.5f, \"minute\": %.17g, \"half_life_s\": %.17g", least,
           sums.minute, sums.half_life_s);
    for (int i = 0; i < SHARES; i++)
        printf(", \"%s\": %.17g", name[i], sums.of_share[i]);
    printf("}\n");
    return 0;
}
