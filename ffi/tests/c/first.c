/* first SIDE: paints one picture of SIDE x SIDE pixels with the built-in model on the CPU, by the four calls of semsynth.h's
 * first comment, and says "painted" when it is in memory. ffi/tests/start.rs measures how long that takes. */
#include "semsynth.h"

#include <stdio.h>
#include <stdlib.h>

static void check(SemsynthStatus status) {
    if (status != SEMSYNTH_STATUS_OK) {
        char text[512];
        semsynth_last_error(text, sizeof text);
        fprintf(stderr, "%s: %s\n", semsynth_status_name(status), text);
        exit(1);
    }
}

int main(int count, char **arguments) {
    const size_t side = count == 2 ? (size_t)atol(arguments[1]) : 256;
    unsigned char *ids = malloc(side * side), *picture = malloc(3 * side * side);
    if (!ids || !picture)
        return 1;
    for (size_t i = 0; i < side * side; ++i)
        ids[i] = (unsigned char)(i % side / 9 % 5 < 2 && i / side / 7 % 4 < 2);
    SemsynthLabels labels = {0};
    labels.struct_size = sizeof labels;
    labels.data = ids, labels.width = side, labels.height = side, labels.format = SEMSYNTH_FORMAT_U8;
    SemsynthImage image = {0};
    image.struct_size = sizeof image;
    image.data = picture, image.width = side, image.height = side, image.format = SEMSYNTH_FORMAT_RGB8;

    SemsynthDevice *device = NULL;
    SemsynthModel *model = NULL;
    SemsynthSession *session = NULL;
    check(semsynth_device_create("cpu", &device));
    check(semsynth_model_load_builtin("facades", &model));
    check(semsynth_session_create(device, model, NULL, &session));
    check(semsynth_synthesize(session, &labels, NULL, &image));
    puts("painted");
    fflush(stdout);

    unsigned sum = 0;
    for (size_t i = 0; i < 3 * side * side; ++i)
        sum += picture[i];
    semsynth_session_release(session);
    semsynth_model_release(model);
    semsynth_device_release(device);
    free(ids);
    free(picture);
    return sum == 0;
}
