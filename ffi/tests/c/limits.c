/* limits: asks for a canvas of 16384x16384 pixels, and for copies of labels as large, where memory is short: the test that
 * runs it sets `ulimit -v`. Prints a status for each; the library itself must not print anything. */
#include "semsynth.h"

#include <stdio.h>
#include <stdlib.h>

enum { SIDE = 16384 };

static int check(const char *what, SemsynthStatus status) {
    printf("%s %d\n", what, (int)status);
    return status;
}

int main(void) {
    SemsynthDevice *device = NULL;
    SemsynthModel *model = NULL;
    SemsynthSession *session = NULL;
    SemsynthCanvas *canvas = NULL;
    setvbuf(stdout, NULL, _IONBF, 0);
    if (check("device", semsynth_device_create("cpu", &device)) != SEMSYNTH_STATUS_OK ||
        check("model", semsynth_model_load_builtin("facades", &model)) != SEMSYNTH_STATUS_OK ||
        check("session", semsynth_session_create(device, model, NULL, &session)) != SEMSYNTH_STATUS_OK)
        return 1;
    /* Zeros: class 0, or a colour without alpha, which has no class. */
    void *pixels = calloc((size_t)SIDE * SIDE, 1);
    if (!pixels)
        return 1;
    SemsynthLabels labels = {0};
    labels.struct_size = sizeof labels;
    labels.data = pixels, labels.width = SIDE, labels.height = SIDE, labels.format = SEMSYNTH_FORMAT_U8;
    check("canvas", semsynth_canvas_create(session, &labels, NULL, &canvas));
    SemsynthRequest request = {0};
    request.struct_size = sizeof request;
    request.memory_limit = 1 << 20;
    if (check("less", semsynth_canvas_create(session, &labels, &request, &canvas)) == SEMSYNTH_STATUS_OK)
        check("released", semsynth_canvas_release(canvas));
    /* Colours take more memory than ids: a quarter of the rows are there. */
    labels.format = SEMSYNTH_FORMAT_RGBA8, labels.height = SIDE / 4;
    check("colors", semsynth_canvas_create(session, &labels, &request, &canvas));
    /* The library goes on. */
    static unsigned char picture[3 * 32 * 32];
    SemsynthImage image = {0};
    image.struct_size = sizeof image;
    image.data = picture, image.width = 32, image.height = 32, image.format = SEMSYNTH_FORMAT_RGB8;
    labels.format = SEMSYNTH_FORMAT_U8, labels.width = 32, labels.height = 32;
    check("picture", semsynth_synthesize(session, &labels, NULL, &image));
    free(pixels);
    semsynth_session_release(session);
    semsynth_model_release(model);
    semsynth_device_release(device);
    puts("end");
    return 0;
}
