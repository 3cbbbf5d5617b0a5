/* Runs one fuzz target over files and folders, without a fuzz engine:
 *
 *     replay_npy fuzz/corpus/npy [more files or folders]
 *
 * Every input is handed over in a block of exactly its size, so that a memory checker sees a
 * read past its end.  Fails when an argument cannot be read or when there was nothing to run. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static long n_run;

static int run_file(const char *path, size_t n)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc(n ? n : 1);
    int ok = f && data && fread(data, 1, n, f) == n;
    if (ok) {
        LLVMFuzzerTestOneInput(data, n);
        n_run++;
    } else {
        fprintf(stderr, "replay: %s cannot be read\n", path);
    }
    free(data);
    if (f)
        fclose(f);
    return ok;
}

static int run_path(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        fprintf(stderr, "replay: %s does not exist\n", path);
        return 0;
    }
    if (!S_ISDIR(st.st_mode))
        return run_file(path, (size_t)st.st_size);
    DIR *d = opendir(path);
    int ok = d != NULL;
    for (struct dirent *e; ok && (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        size_t len = strlen(path) + strlen(e->d_name) + 2;
        char *inside = malloc(len);
        ok = inside != NULL;
        if (ok) {
            snprintf(inside, len, "%s/%s", path, e->d_name);
            ok = run_path(inside);
        }
        free(inside);
    }
    if (d)
        closedir(d);
    return ok;
}

int main(int argc, char **argv)
{
    int ok = 1;
    for (int i = 1; i < argc; i++)
        ok &= run_path(argv[i]);
    if (ok && !n_run) {
        fprintf(stderr, "replay: nothing to run\n");
        ok = 0;
    }
    if (ok)
        printf("replay: %ld inputs\n", n_run);
    return ok ? 0 : 1;
}
