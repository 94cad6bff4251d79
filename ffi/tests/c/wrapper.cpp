// All of semsynth.hpp, against semsynth.h: with exceptions, and without if SEMSYNTH_NO_EXCEPTIONS is defined.
#include <semsynth.hpp>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

[[noreturn]] void fail(const char *what, int line) {
    std::fprintf(stderr, "line %d: %s\n", line, what);
    std::exit(1);
}

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            fail(#condition, __LINE__);                                                                                \
    } while (false)

#ifdef SEMSYNTH_NO_EXCEPTIONS
template <class T> T must(semsynth::Result<T> result) {
    if (!result)
        fail(result.error().what(), 0);
    return std::move(*result);
}
#define DO(call)                                                                                                       \
    do {                                                                                                               \
        if (const auto done_ = (call); !done_)                                                                         \
            fail(done_.error().what(), __LINE__);                                                                      \
    } while (false)
#define REFUSED(call, code)                                                                                            \
    do {                                                                                                               \
        const auto refused_ = (call);                                                                                  \
        CHECK(!refused_ && refused_.error().status() == (code) && *refused_.error().what() != 0);                      \
    } while (false)
#else
template <class T> T must(T value) { return value; }
#define DO(call) (call)
#define REFUSED(call, code)                                                                                            \
    do {                                                                                                               \
        SemsynthStatus status_ = SEMSYNTH_STATUS_OK;                                                                   \
        try {                                                                                                          \
            (void)(call);                                                                                              \
        } catch (const semsynth::Error &error) {                                                                       \
            status_ = *error.what() ? error.status() : SEMSYNTH_STATUS_OK;                                             \
        }                                                                                                              \
        CHECK(status_ == (code));                                                                                      \
    } while (false)
#endif

constexpr std::size_t WIDTH = 64, HEIGHT = 48;

void messages() {
    std::atomic<int> count{0};
    std::string last;
    DO(semsynth::set_log(SEMSYNTH_LOG_DEBUG, [&](std::uint32_t level, std::string_view message) {
        ++count;
        last = std::string(message);
        CHECK(level >= SEMSYNTH_LOG_ERROR && level <= SEMSYNTH_LOG_DEBUG);
        // Calls from within, also failing ones, are fine and not told.
        SemsynthDevice *none = nullptr;
        CHECK(semsynth_device_create("nonsense", &none) == SEMSYNTH_STATUS_UNKNOWN_NAME);
    }));
    REFUSED(semsynth::Model::builtin("castles"), SEMSYNTH_STATUS_UNKNOWN_NAME);
    CHECK(count == 1 && last.find("castles") != std::string::npos);
    DO(semsynth::set_log(SEMSYNTH_LOG_OFF, nullptr));
    REFUSED(semsynth::Model::builtin("castles"), SEMSYNTH_STATUS_UNKNOWN_NAME);
    CHECK(count == 1);
    REFUSED(semsynth::set_log(77, [](std::uint32_t, std::string_view) {}), SEMSYNTH_STATUS_INVALID_ENUM);
}

void lists() {
    DO(semsynth::check_library());
    CHECK(semsynth::build_info().find("facades") != std::string::npos);
    const auto devices = must(semsynth::Device::list());
    CHECK(!devices.empty());
    CHECK(std::any_of(devices.begin(), devices.end(), [](const SemsynthDeviceInfo &device) {
        return device.kind == SEMSYNTH_DEVICE_CPU && std::string(device.name) == "cpu" && *device.description != 0;
    }));
    const auto names = must(semsynth::Model::builtins());
    CHECK(std::find(names.begin(), names.end(), "facades") != names.end());
    REFUSED(semsynth::Device::create("nonsense"), SEMSYNTH_STATUS_UNKNOWN_NAME);
    SemsynthModelOptions small = {sizeof(SemsynthModelOptions), 3};
    const unsigned char bytes[4] = {0, 0, 0, 0};
    REFUSED(semsynth::Model::from_memory(bytes, sizeof bytes, &small), SEMSYNTH_STATUS_LIMIT);
    REFUSED(semsynth::Model::from_memory(bytes, sizeof bytes), SEMSYNTH_STATUS_INVALID_MODEL);
    REFUSED(semsynth::Model::open("/nonexistent"), SEMSYNTH_STATUS_NOT_FOUND);
}

using Picture = std::vector<std::uint8_t>;

void pictures() {
    const semsynth::Device device = must(semsynth::Device::create("cpu"));
    CHECK(std::string(must(device.info()).name) == "cpu");
    const semsynth::Model model = must(semsynth::Model::builtin("facades"));
    const semsynth::Session session = must(semsynth::Session::create(device, model));
    const auto wall = std::uint8_t(must(model.find_class("facade")));
    const auto window = std::uint8_t(must(model.find_class("window")));
    std::vector<std::uint8_t> ids(WIDTH * HEIGHT, wall);
    for (std::size_t i = 0; i < ids.size(); ++i)
        if (i % WIDTH / 8 % 2 == 1 && i / WIDTH / 12 % 2 == 1)
            ids[i] = window;
    const semsynth::Labels labels(ids, WIDTH, HEIGHT);
    const auto paint = [&](const semsynth::Request &request) { return must(session.synthesize(labels, request)); };

    // The first preset is the style of a request without one, and others look different.
    const auto presets = must(model.presets());
    CHECK(presets.size() >= 2 && *presets[0].name != 0);
    const semsynth::Style first = must(semsynth::Style::preset(model, presets[0].name));
    const semsynth::Style second = must(semsynth::Style::preset(model, presets[1].name));
    const Picture plain = paint(semsynth::Request());
    CHECK(plain == paint(semsynth::Request().style(first)));
    CHECK(plain == paint(semsynth::Request().style(must(semsynth::Style::preset(model, nullptr)))));
    CHECK(plain != paint(semsynth::Request().style(second)));
    CHECK(plain == paint(semsynth::Request().style(must(second.blend(first, 1.0F)))));
    REFUSED(semsynth::Style::preset(model, "castles"), SEMSYNTH_STATUS_UNKNOWN_NAME);
    const SemsynthStyleInfo info = must(first.info());
    CHECK(info.kind == SEMSYNTH_STYLE_REGIONS && info.rows == info.present);
    const semsynth::Style again = must(semsynth::Style::load(model, must(first.save())));
    CHECK(plain == paint(semsynth::Request().style(again)));
    const semsynth::Style zero = must(semsynth::Style::regions(
        std::vector<float>(std::size_t(info.rows) * info.length), info.rows));
    CHECK(must(zero.info()).length == info.length);
    // The style of one class, in two ways.
    const Picture mixed = paint(semsynth::Request().style(first).region_style(wall, second));
    CHECK(mixed == paint(semsynth::Request().style(must(first.with_class(wall, second, wall)))) && mixed != plain);

    // What a request says arrives.
    REFUSED(session.synthesize(labels, semsynth::Request().statistics(77)), SEMSYNTH_STATUS_INVALID_ENUM);
    const semsynth::Labels wrong(ids.data(), WIDTH, HEIGHT, 0, SEMSYNTH_FORMAT_RGB_F32);
    REFUSED(session.synthesize(labels, semsynth::Request().instances(wrong)), SEMSYNTH_STATUS_INVALID_ENUM);
    REFUSED(session.synthesize(labels, semsynth::Request().instances(labels)), SEMSYNTH_STATUS_INVALID_ARGUMENT);
    CHECK(plain == paint(semsynth::Request().statistics(SEMSYNTH_STATISTICS_MODEL)));
    const semsynth::Request region = semsynth::Request().region({8, 4, 32, 16});
    CHECK(paint(region).size() == 3 * 32 * 16);
    REFUSED(session.synthesize(labels, semsynth::Request().memory_limit(1)), SEMSYNTH_STATUS_LIMIT);

    DO(session.warm_up(WIDTH, HEIGHT));
    REFUSED(session.warm_up(0, HEIGHT), SEMSYNTH_STATUS_INVALID_ARGUMENT);
    const SemsynthEstimate estimate = must(session.estimate(WIDTH, HEIGHT));
    CHECK(estimate.memory > estimate.least_memory / 2 && estimate.multiplications > 1e6 && estimate.seconds > 0);
    CHECK(plain == must(must(session.fork()).synthesize(labels)));
    REFUSED(session.encode(semsynth::Image::reading(plain.data(), WIDTH, HEIGHT)), SEMSYNTH_STATUS_INVALID_ARGUMENT);

    const semsynth::Rect edit = {16, 16, 4, 4};
    const semsynth::Rect inside = must(model.affected(edit, WIDTH, HEIGHT));
    CHECK(inside.x == 0 && inside.y == 0 && inside.width <= WIDTH && inside.height == HEIGHT);
    const semsynth::Rect world = must(model.affected(edit));
    CHECK(world.x < inside.x && world.width > inside.width);
    REFUSED(model.affected({0, 0, UINT32_MAX, 1}), SEMSYNTH_STATUS_INVALID_ARGUMENT);

    // Ids to colours and back.
    const semsynth::Palette palette = must(semsynth::Palette::of(model));
    Picture colors(3 * WIDTH * HEIGHT);
    DO(palette.colors(labels, semsynth::Image(colors.data(), WIDTH, HEIGHT)));
    const auto back = must(palette.ids(semsynth::Image::reading(colors.data(), WIDTH, HEIGHT)));
    CHECK(std::equal(back.begin(), back.end(), ids.begin(), ids.end()));
    colors[0] ^= 1;
    SemsynthReport report;
    const semsynth::Image changed(colors.data(), WIDTH, HEIGHT);
    REFUSED(palette.ids(changed, SEMSYNTH_COLORS_EXACT, 0, &report), SEMSYNTH_STATUS_UNKNOWN_COLORS);
    CHECK(report.unknown_pixels == 1 && report.first_x == 0 && report.needed_tolerance == 1);
    CHECK(back == must(palette.ids(changed, SEMSYNTH_COLORS_NEAREST, 1, &report)) && report.near_pixels == 1);

    // A canvas.
    const semsynth::Canvas canvas = must(semsynth::Canvas::create(session, labels));
    Picture shown(3 * WIDTH * HEIGHT);
    const semsynth::Image frame(shown.data(), WIDTH, HEIGHT);
    CHECK(!must(canvas.is_at(SEMSYNTH_GOAL_BITS)));
    CHECK(!must(canvas.update(SEMSYNTH_GOAL_BITS, &frame)).empty());
    CHECK(must(canvas.is_at(SEMSYNTH_GOAL_BITS)) && shown == plain && must(canvas.memory()) > 0);
    const auto before = must(canvas.labels(edit));
    CHECK(before.size() == 16 && before[0] == ids[16 * WIDTH + 16]);
    const std::vector<std::uint16_t> dab(16, std::uint16_t(before[0] == wall ? window : wall));
    const semsynth::Rect reach = must(canvas.edit(semsynth::Labels(dab, 4, 4), edit.x, edit.y));
    CHECK(reach.x == inside.x && reach.y == inside.y && reach.width == inside.width && reach.height == inside.height);
    CHECK(must(canvas.labels(edit)) == dab && !must(canvas.is_at(SEMSYNTH_GOAL_PREVIEW)));
    DO(canvas.edit(semsynth::Labels(before, 4, 4), edit.x, edit.y));
    DO(canvas.set_request(semsynth::Request().style(second)));
    CHECK(!must(canvas.update(SEMSYNTH_GOAL_BITS, nullptr)).empty());
    DO(canvas.read(frame));
    CHECK(shown == paint(semsynth::Request().style(second)));
    REFUSED(canvas.labels({60, 0, 9, 1}), SEMSYNTH_STATUS_INVALID_ARGUMENT);
    REFUSED(canvas.labels({0, 0, 0, 1}), SEMSYNTH_STATUS_INVALID_ARGUMENT);
    REFUSED(canvas.set_request(semsynth::Request().wrap()), SEMSYNTH_STATUS_INVALID_ARGUMENT);

    // Jobs, and tokens.
    semsynth::Job job = must(session.synthesize_async(labels, frame, semsynth::Request().progress([](float) {
        return true;
    })));
    DO(job.get());
    CHECK(shown == plain && job.ready() && job.progress() > 0.99F);
    const semsynth::Cancel cancel = must(semsynth::Cancel::create());
    cancel.now();
    REFUSED(session.synthesize(labels, semsynth::Request().cancel(cancel)), SEMSYNTH_STATUS_CANCELLED);
    REFUSED(session.synthesize(labels, semsynth::Request().progress([](float) { return false; })),
            SEMSYNTH_STATUS_CANCELLED);
    // Copies are owners of the same thing.
    semsynth::Style copy = first;
    { const semsynth::Style other = copy; }
    copy = second;
    CHECK(plain == paint(semsynth::Request().style(first)));
}

} // namespace

int main() {
    messages();
    lists();
    pictures();
    std::puts("end");
}
