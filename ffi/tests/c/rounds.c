/* rounds ROUNDS RUNS: makes and releases everything ROUNDS times, then paints RUNS small pictures, then from 8 threads. Prints
 * how much memory grew after the first tenth, in KiB. */
#include "semsynth.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 32, THREADS = 8 };

static void must(SemsynthStatus status) {
    if (status != SEMSYNTH_STATUS_OK) {
        char text[512];
        semsynth_last_error(text, sizeof text);
        fprintf(stderr, "%s: %s\n", semsynth_status_name(status), text);
        exit(1);
    }
}

static long kibibytes(void) {
    char line[256];
    long found = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmRSS: %ld", &found) == 1)
            break;
    if (file)
        fclose(file);
    return found;
}

static unsigned char ids[SIDE * SIDE], expected[3 * SIDE * SIDE];

static SemsynthLabels labels_of_all(void) {
    SemsynthLabels labels = {0};
    labels.struct_size = sizeof labels;
    labels.data = ids, labels.width = SIDE, labels.height = SIDE, labels.format = SEMSYNTH_FORMAT_U8;
    return labels;
}

static SemsynthImage image_of(unsigned char *picture) {
    SemsynthImage image = {0};
    image.struct_size = sizeof image;
    image.data = picture, image.width = SIDE, image.height = SIDE, image.format = SEMSYNTH_FORMAT_RGB8;
    return image;
}

static void paint(const SemsynthSession *session, unsigned char *picture) {
    const SemsynthLabels labels = labels_of_all();
    const SemsynthImage image = image_of(picture);
    must(semsynth_synthesize(session, &labels, NULL, &image));
}

static void round_trip(void) {
    SemsynthDevice *device = NULL;
    SemsynthModel *model = NULL;
    SemsynthSession *session = NULL;
    SemsynthPalette *palette = NULL;
    SemsynthCancel *cancel = NULL;
    SemsynthCanvas *canvas = NULL;
    SemsynthJob *job = NULL;
    unsigned char picture[3 * SIDE * SIDE], other[3 * SIDE * SIDE];
    must(semsynth_device_create("cpu", &device));
    must(semsynth_model_load_builtin("facades", &model));
    must(semsynth_session_create(device, model, NULL, &session));
    must(semsynth_palette_create(model, &palette));
    must(semsynth_cancel_create(&cancel));
    paint(session, picture);
    const SemsynthLabels labels = labels_of_all();
    const SemsynthImage image = image_of(other);
    must(semsynth_synthesize_async(session, &labels, NULL, &image, &job));
    must(semsynth_canvas_create(session, &labels, NULL, &canvas));
    must(semsynth_job_wait(job, -1));
    if (memcmp(picture, other, sizeof picture) != 0) {
        fprintf(stderr, "the pictures differ\n");
        exit(1);
    }
    must(semsynth_canvas_update(canvas, NULL, &image, NULL, 0, NULL));
    /* In no certain order: objects keep what they need. */
    must(semsynth_device_release(device));
    must(semsynth_model_release(model));
    must(semsynth_session_release(session));
    must(semsynth_canvas_release(canvas));
    must(semsynth_palette_release(palette));
    must(semsynth_cancel_release(cancel));
    must(semsynth_job_release(job));
}

static void *hammer(void *shared) {
    SemsynthSession *mine = NULL;
    unsigned char picture[3 * SIDE * SIDE];
    must(semsynth_session_fork(shared, &mine));
    for (int i = 0; i < 50; ++i) {
        paint(i % 2 ? mine : shared, picture);
        if (memcmp(picture, expected, sizeof picture) != 0) {
            fprintf(stderr, "a thread painted another picture\n");
            exit(1);
        }
    }
    must(semsynth_session_release(mine));
    return NULL;
}

int main(int count, char **arguments) {
    if (count != 3)
        return 2;
    const long rounds = atol(arguments[1]), runs = atol(arguments[2]);
    SemsynthDevice *device = NULL;
    SemsynthModel *model = NULL;
    SemsynthSession *session = NULL;
    uint32_t wall = 0, window = 0;
    must(semsynth_device_create("cpu", &device));
    must(semsynth_model_load_builtin("facades", &model));
    must(semsynth_session_create(device, model, NULL, &session));
    must(semsynth_model_find_class(model, "facade", &wall));
    must(semsynth_model_find_class(model, "window", &window));
    for (int i = 0; i < SIDE * SIDE; ++i)
        ids[i] = (unsigned char)(i % 11 < 4 && i / SIDE % 9 < 5 ? window : wall);
    paint(session, expected);

    long before = 0;
    for (long i = 0; i < rounds; ++i) {
        if (i == rounds / 10)
            before = kibibytes();
        round_trip();
    }
    printf("rounds %ld\n", kibibytes() - before);
    for (long i = 0; i < runs; ++i) {
        unsigned char picture[3 * SIDE * SIDE];
        if (i == runs / 10)
            before = kibibytes();
        paint(session, picture);
        if (memcmp(picture, expected, sizeof picture) != 0) {
            fprintf(stderr, "another picture in run %ld\n", i);
            return 1;
        }
    }
    printf("runs %ld\n", kibibytes() - before);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; ++i)
        if (pthread_create(&threads[i], NULL, hammer, session) != 0)
            return 1;
    for (int i = 0; i < THREADS; ++i)
        pthread_join(threads[i], NULL);
    must(semsynth_session_release(session));
    must(semsynth_model_release(model));
    must(semsynth_device_release(device));
    puts("end");
    return 0;
}
