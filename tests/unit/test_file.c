/* Reading and writing whole files: what the operating system refuses, and what is left behind. */
#include "arrays_fixture.h"

#include "io/file.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static int files_in_dir(void)
{
    int n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void expect_path(anf_status st, anf_status want, const char *path, const char *rest)
{
    char message[800];
    snprintf(message, sizeof message, "%s: %s", path, rest);
    expect(st, want, message);
}

static void npy_round_trip(void **state)
{
    (void)state;
    unsigned char bytes[8 * 6];
    const char *path = in_dir("trip.npy");
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 37);
    for (anf_dtype t = ANF_F16; t < ANF_BF16; t++) {
        static const anf_dims shapes[] = {{0, {0}}, {1, {6}}, {2, {2, 3}}, {3, {0, 5, 1}},
                                          {8, {1, 1, 3, 1, 1, 1, 2, 1}}};
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            anf_arrays *a;
            expect(anf_npy_write(ctx, path, anf_array_of(bytes, t, shapes[s])), ANF_OK, "");
            expect(anf_arrays_open(ctx, path, &a), ANF_OK, "");
            expect_array(a, "", t, shapes[s], bytes);
            anf_arrays_free(a);
        }
    }
    float w[24];
    size_t n1, n2;
    for (int i = 0; i < 24; i++)
        w[i] = (float)i;
    expect(anf_npy_write(ctx, path, ANF_ARRAY_F32(w, 2, 3, 4)), ANF_OK, "");
    unsigned char *ours = slurp(path, &n1), *numpys = slurp(in_data("arrays_f32_2x3x4.npy"), &n2);
    assert_int_equal(n1, n2);
    assert_memory_equal(ours, numpys, n1);
    free(ours);
    free(numpys);
    unlink(path);
}

static void npy_write_refuses(void **state)
{
    (void)state;
    float w[2] = {1, 2};
    const char *path = in_dir("bad.npy");
    anf_array a = ANF_ARRAY_F32(w, 2);
    a.dtype = (anf_dtype)99;
    expect_path(anf_npy_write(ctx, path, a), ANF_E_DTYPE, path, "dtype 99 is none of anf_dtype");
    a.dtype = ANF_BF16;
    expect_path(anf_npy_write(ctx, path, a), ANF_E_DTYPE, path,
                "npy has no element type for bfloat16");
    a = ANF_ARRAY_F32(w, 2, -1);
    expect_path(anf_npy_write(ctx, path, a), ANF_E_SHAPE, path,
                "shape [2,-1] has a negative dimension or overflows");
    a.shape.rank = 9;
    expect_path(anf_npy_write(ctx, path, a), ANF_E_SHAPE, path, "rank 9, 0 to 8 is needed");
    a = ANF_ARRAY_F32(NULL, 2);
    expect_path(anf_npy_write(ctx, path, a), ANF_E_ARG, path,
                "the array of shape [2] has no data");
    expect(anf_npy_write(ctx, NULL, a), ANF_E_ARG, "anf_npy_write: path is NULL");
    expect(anf_npz_write(NULL, path, &a, NULL, 0), ANF_E_ARG, "anf_npz_write: ctx is NULL");
    assert_int_not_equal(access(path, F_OK), 0);
}

static void reading_refuses(void **state)
{
    (void)state;
    anf_arrays *a;
    const char *path = in_dir("absent.npy");
    expect_path(anf_arrays_open(ctx, path, &a), ANF_E_IO, path,
                "cannot open: No such file or directory");
    expect_path(anf_arrays_open(ctx, dir, &a), ANF_E_IO, dir,
                "is a directory, a file or a pipe is needed");
    expect_path(anf_arrays_open(ctx, "/dev/null", &a), ANF_E_IO, "/dev/null",
                "is a device, a file or a pipe is needed");
    /* A file of sysfs says 4096 bytes and has fewer. */
    const char *sys = "/sys/devices/system/cpu/online";
    struct stat st;
    if (stat(sys, &st) == 0 && st.st_size == 4096)
        expect_path(anf_arrays_open(ctx, sys, &a), ANF_E_IO, sys,
                    "changed while it was read: it had 4096 bytes");
}

static void reading_a_pipe(void **state)
{
    (void)state;
    size_t n;
    unsigned char *b = slurp(in_data("arrays_f32_2x3x4.npy"), &n);
    anf_status st = ANF_E_NOMEM;
    long live = mem.live;
    for (int k = 1; st != ANF_OK && k < 50; k++) {
        int fd[2];
        char path[40];
        anf_arrays *a;
        assert_int_equal(pipe(fd), 0);
        assert_int_equal(write(fd[1], b, n), n);
        close(fd[1]);
        snprintf(path, sizeof path, "/dev/fd/%d", fd[0]);
        mem.fail_at = k;
        st = anf_arrays_open(ctx, path, &a);
        mem.fail_at = 0;
        close(fd[0]);
        if (st == ANF_OK)
            expect_array(a, "", ANF_F32, ANF_SHAPE(2, 3, 4), b + 128);
        else
            assert_int_equal(st, ANF_E_NOMEM);
        anf_arrays_free(a);
        assert_int_equal(mem.live, live);
    }
    assert_int_equal(st, ANF_OK);
    free(b);
}

/* The old file stays and nothing else does when the disk refuses in the middle of the data. */
static void failed_write_keeps_the_old_file(void **state)
{
    (void)state;
    static float big[60000], w[2] = {1, 2};
    const char *path = in_dir("kept.npy");
    anf_arrays *a;
    expect(anf_npy_write(ctx, path, ANF_ARRAY_F32(w, 2)), ANF_OK, "");
    int before = files_in_dir();
    struct rlimit old, low;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    low = old;
    low.rlim_cur = 100000;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    anf_status large = anf_npy_write(ctx, path, ANF_ARRAY_F32(big, 60000));
    low.rlim_cur = 100; /* now the buffer, at the end */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    anf_status small = anf_npy_write(ctx, path, ANF_ARRAY_F32(big, 10));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(large, ANF_E_IO);
    expect_path(small, ANF_E_IO, path, "cannot write: File too large");
    assert_int_equal(files_in_dir(), before);
    expect(anf_arrays_open(ctx, path, &a), ANF_OK, "");
    expect_array(a, "", ANF_F32, ANF_SHAPE(2), w);
    anf_arrays_free(a);
    unlink(path);
}

static void writing_refuses(void **state)
{
    (void)state;
    float w[1] = {1};
    anf_array a = ANF_ARRAY_F32(w, 1);
    const char *path = in_dir("absent/x.npy");
    expect_path(anf_npy_write(ctx, path, a), ANF_E_IO, path,
                "cannot create a file beside it: No such file or directory");
    expect_path(anf_npy_write(ctx, dir, a), ANF_E_IO, dir,
                "cannot be replaced, it is not a regular file");
    expect_path(anf_npy_write(ctx, "/dev/null", a), ANF_E_IO, "/dev/null",
                "cannot be replaced, it is not a regular file");
    path = in_dir("dangling");
    assert_int_equal(symlink(in_dir("absent"), path), 0);
    expect_path(anf_npy_write(ctx, path, a), ANF_E_IO, path,
                "cannot follow the link: No such file or directory");
    unlink(path);
    path = in_dir("locked");
    assert_int_equal(mkdir(path, 0500), 0);
    if (geteuid() != 0) {
        const char *file = in_dir("locked/x.npy");
        expect_path(anf_npy_write(ctx, file, a), ANF_E_IO, file,
                    "cannot create a file beside it: Permission denied");
    }
    assert_int_equal(rmdir(path), 0);
    /* The name was free when the writer began, and is a directory when it ends. */
    struct file_writer writer;
    const anf_allocator allocator = {NULL, counting_alloc, counting_free};
    path = in_dir("taken");
    int before = files_in_dir();
    expect(file_writer_open(&writer, &allocator, path), ANF_OK, "");
    expect(file_writer_put(&writer, "x", 1), ANF_OK, "");
    assert_int_equal(mkdir(path, 0700), 0);
    expect_path(file_writer_commit(&writer), ANF_E_IO, path,
                "cannot rename the finished file to this name: Is a directory");
    file_writer_discard(&writer);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(files_in_dir(), before);
    expect(file_writer_put(&writer, "x", 1), ANF_E_STATE,
           "a file writer that failed or was closed is written to");
    expect(file_writer_commit(&writer), ANF_E_STATE,
           "a file writer that failed or was closed is committed");
}

static void replacing_keeps_link_and_mode(void **state)
{
    (void)state;
    float w[1] = {1}, v[1] = {2};
    const char *path = in_dir("real.npy"), *link = in_dir("link.npy");
    struct stat st;
    anf_arrays *a;
    expect(anf_npy_write(ctx, path, ANF_ARRAY_F32(w, 1)), ANF_OK, "");
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(symlink("real.npy", link), 0);
    expect(anf_npy_write(ctx, link, ANF_ARRAY_F32(v, 1)), ANF_OK, "");
    assert_true(lstat(link, &st) == 0 && S_ISLNK(st.st_mode));
    assert_true(stat(path, &st) == 0 && (st.st_mode & 0777) == 0640);
    expect(anf_arrays_open(ctx, path, &a), ANF_OK, "");
    expect_array(a, "", ANF_F32, ANF_SHAPE(1), v);
    anf_arrays_free(a);
    unlink(link);
    unlink(path);
    assert_int_equal(files_in_dir(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(npy_round_trip),
        cmocka_unit_test(npy_write_refuses),
        cmocka_unit_test(reading_refuses),
        cmocka_unit_test(reading_a_pipe),
        cmocka_unit_test(failed_write_keeps_the_old_file),
        cmocka_unit_test(writing_refuses),
        cmocka_unit_test(replacing_keeps_link_and_mode),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
