/* Paints a picture from a label map.
 *
 *     synthesize OUTPUT.ppm [LABELS.ppm] [MODEL.safetensors]
 *
 * LABELS.ppm has the colours of the model's classes, as an editor saves them; without it, a small facade is drawn here.
 *
 *     cc synthesize.c $(pkg-config --cflags --libs semsynth) -o synthesize
 */
#include <semsynth.h>

#include <stdio.h>
#include <stdlib.h>

/* Ends the program with the library's message. */
static void check(SemsynthStatus status, const char *what) {
    if (status != SEMSYNTH_STATUS_OK) {
        char message[1024];
        semsynth_last_error(message, sizeof message);
        fprintf(stderr, "%s: %s: %s\n", what, semsynth_status_name(status), message);
        exit(1);
    }
}

/* Reads a binary PPM with 8 bits per channel. */
static unsigned char *read_ppm(const char *path, size_t *width, size_t *height) {
    FILE *file = fopen(path, "rb");
    unsigned w = 0, h = 0, most = 0;
    if (!file || fscanf(file, "P6 %u %u %u", &w, &h, &most) != 3 || most != 255 || fgetc(file) == EOF || w == 0 ||
        h == 0 || w > 32768 || h > 32768) {
        fprintf(stderr, "%s: no binary PPM with 8 bits per channel\n", path);
        exit(1);
    }
    unsigned char *pixels = malloc((size_t)3 * w * h);
    if (!pixels || fread(pixels, 3, (size_t)w * h, file) != (size_t)w * h) {
        fprintf(stderr, "%s: the picture is cut short\n", path);
        exit(1);
    }
    fclose(file);
    *width = w;
    *height = h;
    return pixels;
}

/* The class with a name. */
static unsigned char find(const SemsynthModel *model, const char *name) {
    uint32_t id = 0;
    check(semsynth_model_find_class(model, name, &id), "class");
    return (unsigned char)id;
}

/* A facade of class ids: rows of windows and a door. */
static unsigned char *draw(const SemsynthModel *model, size_t width, size_t height) {
    const unsigned char wall = find(model, "facade"), window = find(model, "window"), door = find(model, "door"),
                        around = find(model, "background");
    unsigned char *ids = malloc(width * height);
    if (!ids)
        exit(1);
    for (size_t y = 0; y < height; ++y) {
        for (size_t x = 0; x < width; ++x) {
            const size_t column = x * 16 / width, row = y * 16 / height;
            unsigned char id = wall;
            if (column == 0 || column == 15 || row == 0)
                id = around;
            else if (row >= 12 && column >= 7 && column < 9)
                id = door;
            else if (column % 3 != 0 && row % 4 >= 2 && row < 12)
                id = window;
            ids[y * width + x] = id;
        }
    }
    return ids;
}

/* Called with 0 to 1; 0 would cancel. */
static uint32_t progress(void *user, float done) {
    (void)user;
    fprintf(stderr, "\r%3.0f %%", (double)(100 * done));
    return 1;
}

int main(int count, char **arguments) {
    if (count < 2 || count > 4) {
        fprintf(stderr, "usage: synthesize OUTPUT.ppm [LABELS.ppm] [MODEL.safetensors]\n");
        return 2;
    }
    check(semsynth_check_abi(SEMSYNTH_ABI_VERSION), "library");

    SemsynthDevice *device = NULL;
    SemsynthModel *model = NULL;
    SemsynthSession *session = NULL;
    check(semsynth_device_create("auto", &device), "device");
    if (count == 4)
        check(semsynth_model_load_file(arguments[3], NULL, &model), arguments[3]);
    else
        check(semsynth_model_load_builtin("facades", &model), "model");
    check(semsynth_session_create(device, model, NULL, &session), "session");

    size_t width = 256, height = 256;
    unsigned char *pixels;
    SemsynthLabels labels = {0};
    labels.struct_size = sizeof labels;
    if (count >= 3) {
        pixels = read_ppm(arguments[2], &width, &height);
        labels.format = SEMSYNTH_FORMAT_RGB8;
    } else {
        pixels = draw(model, width, height);
        labels.format = SEMSYNTH_FORMAT_U8;
    }
    labels.data = pixels;
    labels.width = width;
    labels.height = height;

    unsigned char *picture = malloc(3 * width * height);
    if (!picture)
        return 1;
    SemsynthImage image = {0};
    image.struct_size = sizeof image;
    image.data = picture;
    image.width = width;
    image.height = height;
    image.format = SEMSYNTH_FORMAT_RGB8;

    SemsynthRequest request = {0};
    request.struct_size = sizeof request;
    request.progress = progress;
    check(semsynth_synthesize(session, &labels, &request, &image), "picture");
    fprintf(stderr, "\n");

    FILE *file = fopen(arguments[1], "wb");
    if (!file || fprintf(file, "P6\n%zu %zu\n255\n", width, height) < 0 ||
        fwrite(picture, 3, width * height, file) != width * height || fclose(file) != 0) {
        fprintf(stderr, "%s: cannot be written\n", arguments[1]);
        return 1;
    }
    free(picture);
    free(pixels);
    semsynth_session_release(session);
    semsynth_model_release(model);
    semsynth_device_release(device);
    return 0;
}
