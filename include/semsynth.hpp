// semsynth.hpp: semsynth.h for C++17, header only.
//
// SPDX-License-Identifier: MIT OR Apache-2.0
//
//     semsynth::Session session(semsynth::Device("auto"), semsynth::Model::builtin("facades"));
//     std::vector<std::uint8_t> picture = session.synthesize(semsynth::Labels(ids, width, height));
//
// Objects are values: a copy is another owner of the same thing, which is cheap. Functions throw semsynth::Error; with
// SEMSYNTH_NO_EXCEPTIONS defined they return semsynth::Result instead, and `create` functions take the place of
// constructors that can fail.
#ifndef SEMSYNTH_HPP
#define SEMSYNTH_HPP

#include "semsynth.h"

#include <chrono>
#include <cstdint>
#include <cstring>
#include <forward_list>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#ifndef SEMSYNTH_NO_EXCEPTIONS
#include <exception>
#include <stdexcept>
#else
#include <cstdlib>
#endif

namespace semsynth {

/// Why a function failed.
#ifndef SEMSYNTH_NO_EXCEPTIONS
class Error : public std::runtime_error {
public:
    Error(SemsynthStatus status, const std::string &message) : std::runtime_error(message), status_(status) {}
#else
class Error {
public:
    Error() = default;
    Error(SemsynthStatus status, std::string message) : message_(std::move(message)), status_(status) {}
    const char *what() const noexcept { return message_.c_str(); }
#endif
    /// One of the SEMSYNTH_STATUS_ constants.
    SemsynthStatus status() const noexcept { return status_; }
    bool cancelled() const noexcept { return status_ == SEMSYNTH_STATUS_CANCELLED; }

private:
#ifdef SEMSYNTH_NO_EXCEPTIONS
    std::string message_;
#endif
    SemsynthStatus status_ = SEMSYNTH_STATUS_OK;
};

namespace detail {

inline std::string last_message() {
    std::string text(semsynth_last_error(nullptr, 0) + 1, '\0');
    semsynth_last_error(&text[0], text.size());
    text.pop_back();
    return text;
}

} // namespace detail

#ifndef SEMSYNTH_NO_EXCEPTIONS
template <class T> using Result = T;
#define SEMSYNTH_DETAIL_CHECK(call)                                                                                    \
    do {                                                                                                               \
        const SemsynthStatus status_ = (call);                                                                         \
        if (status_ != SEMSYNTH_STATUS_OK)                                                                             \
            throw ::semsynth::Error(status_, ::semsynth::detail::last_message());                                      \
    } while (false)
#define SEMSYNTH_DETAIL_DONE return
using Status = void;
#else
/// A value, or why there is none. Only look at the value if there is one.
template <class T> class Result {
public:
    Result(T value) : value_(std::move(value)) {}
    Result(Error error) : error_(std::move(error)) {}
    explicit operator bool() const noexcept { return value_.has_value(); }
    T &operator*() { return *value_; }
    T *operator->() { return &*value_; }
    const Error &error() const noexcept { return error_; }

private:
    std::optional<T> value_;
    Error error_;
};
/// Success, or why not.
class Status {
public:
    Status() = default;
    Status(Error error) : error_(std::move(error)) {}
    explicit operator bool() const noexcept { return error_.status() == SEMSYNTH_STATUS_OK; }
    const Error &error() const noexcept { return error_; }

private:
    Error error_;
};
#define SEMSYNTH_DETAIL_CHECK(call)                                                                                    \
    do {                                                                                                               \
        const SemsynthStatus status_ = (call);                                                                         \
        if (status_ != SEMSYNTH_STATUS_OK)                                                                             \
            return ::semsynth::Error(status_, ::semsynth::detail::last_message());                                     \
    } while (false)
#define SEMSYNTH_DETAIL_DONE                                                                                           \
    return {}
#endif

namespace detail {

/// A struct of the header, with its size set.
template <class T> T sized() {
    T value;
    std::memset(&value, 0, sizeof value);
    value.struct_size = sizeof value;
    return value;
}

/// An owner of a handle.
template <class T, SemsynthStatus (*Retain)(const T *), SemsynthStatus (*Release)(T *)> class Handle {
public:
    Handle() = default;
    /// Takes a handle over.
    explicit Handle(T *handle) noexcept : handle_(handle) {}
    Handle(const Handle &other) noexcept : handle_(other.handle_) {
        if (handle_)
            Retain(handle_);
    }
    Handle(Handle &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Handle &operator=(Handle other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~Handle() { Release(handle_); }
    /// The handle, for functions of semsynth.h; still owned by this.
    T *get() const noexcept { return handle_; }
    explicit operator bool() const noexcept { return handle_ != nullptr; }

protected:
    T *handle_ = nullptr;
};

} // namespace detail

/// Throws if the loaded library is not the header's.
inline Status check_library() {
    SEMSYNTH_DETAIL_CHECK(semsynth_check_abi(SEMSYNTH_ABI_VERSION));
    SEMSYNTH_DETAIL_DONE;
}

/// What the library contains, for reports of problems: version, devices, built-in models, target.
inline std::string build_info() { return semsynth_build_info(); }

/// Takes messages: the level is one of the SEMSYNTH_LOG_ constants. Called on any thread; must not throw.
using Log = std::function<void(std::uint32_t level, std::string_view message)>;

/// Sends the library's messages up to a level to a function, for the whole process; an empty one ends that.
inline Status set_log(std::uint32_t level, Log log) {
    if (!log) {
        SEMSYNTH_DETAIL_CHECK(semsynth_set_log_callback(SEMSYNTH_LOG_OFF, nullptr, nullptr));
        SEMSYNTH_DETAIL_DONE;
    }
    // Functions are kept for ever: another thread may still be in the one that was set before.
    static std::mutex mutex;
    static std::forward_list<Log> *const all = new std::forward_list<Log>;
    const std::lock_guard<std::mutex> lock(mutex);
    all->push_front(std::move(log));
    const auto call = [](void *user, std::uint32_t of, const char *message) {
        (*static_cast<const Log *>(user))(of, message);
    };
    SEMSYNTH_DETAIL_CHECK(semsynth_set_log_callback(level, call, &all->front()));
    SEMSYNTH_DETAIL_DONE;
}

using Rect = SemsynthRect;

/// Labels in memory that stays while they are used.
class Labels {
public:
    /// Ids of one byte, without padding.
    Labels(const std::uint8_t *ids, std::size_t width, std::size_t height, std::ptrdiff_t stride = 0)
        : Labels(ids, width, height, stride, SEMSYNTH_FORMAT_U8) {}
    /// Ids of two bytes; the stride is in bytes.
    Labels(const std::uint16_t *ids, std::size_t width, std::size_t height, std::ptrdiff_t stride = 0)
        : Labels(ids, width, height, stride, SEMSYNTH_FORMAT_U16) {}
    /// Ids in a container. One that is too short is an error when the labels are used.
    template <class Container, class = decltype(std::declval<const Container &>().data())>
    Labels(const Container &ids, std::size_t width, std::size_t height)
        : Labels(ids.data(), width, height) {
        if (height == 0 || ids.size() / height < width)
            value_.height = 0;
    }
    /// Colours, or ids, in any format.
    Labels(const void *data, std::size_t width, std::size_t height, std::ptrdiff_t stride, std::uint32_t format)
        : value_(detail::sized<SemsynthLabels>()) {
        value_.data = data;
        value_.width = width;
        value_.height = height;
        value_.stride = stride;
        value_.format = format;
    }
    /// What to do with colours of no class: SEMSYNTH_COLORS_NEAREST or SEMSYNTH_COLORS_FILL.
    Labels &policy(std::uint32_t policy, std::uint32_t tolerance) {
        value_.policy = policy;
        value_.tolerance = tolerance;
        return *this;
    }
    /// What colours mean. The palette must stay.
    template <class P> Labels &palette(const P &palette) {
        value_.palette = palette.get();
        return *this;
    }
    const SemsynthLabels *get() const noexcept { return &value_; }
    std::size_t width() const noexcept { return value_.width; }
    std::size_t height() const noexcept { return value_.height; }

private:
    SemsynthLabels value_;
};

/// A picture in memory that stays while it is used.
class Image {
public:
    Image(void *data, std::size_t width, std::size_t height, std::ptrdiff_t stride = 0,
          std::uint32_t format = SEMSYNTH_FORMAT_RGB8)
        : value_(detail::sized<SemsynthImage>()) {
        value_.data = data;
        value_.width = width;
        value_.height = height;
        value_.stride = stride;
        value_.format = format;
    }
    /// A picture that is only read.
    static Image reading(const void *data, std::size_t width, std::size_t height, std::ptrdiff_t stride = 0,
                         std::uint32_t format = SEMSYNTH_FORMAT_RGB8) {
        return Image(const_cast<void *>(data), width, height, stride, format);
    }
    const SemsynthImage *get() const noexcept { return &value_; }
    std::size_t width() const noexcept { return value_.width; }
    std::size_t height() const noexcept { return value_.height; }

private:
    SemsynthImage value_;
};

class Device : public detail::Handle<SemsynthDevice, semsynth_device_retain, semsynth_device_release> {
public:
    using Handle::Handle;
    /// Opens "cpu", "gpu", "auto" or a device by its name.
    static Result<Device> create(const char *name) {
        SemsynthDevice *handle = nullptr;
        SEMSYNTH_DETAIL_CHECK(semsynth_check_abi(SEMSYNTH_ABI_VERSION));
        SEMSYNTH_DETAIL_CHECK(semsynth_device_create(name, &handle));
        return Device(handle);
    }
#ifndef SEMSYNTH_NO_EXCEPTIONS
    explicit Device(const char *name) : Device(create(name)) {}
#endif
    /// The devices of this machine, best first.
    static Result<std::vector<SemsynthDeviceInfo>> list() {
        std::size_t count = 0;
        SEMSYNTH_DETAIL_CHECK(semsynth_device_count(&count));
        std::vector<SemsynthDeviceInfo> devices(count, detail::sized<SemsynthDeviceInfo>());
        for (std::size_t i = 0; i < count; ++i)
            SEMSYNTH_DETAIL_CHECK(semsynth_device_info(i, &devices[i]));
        return devices;
    }
    Result<SemsynthDeviceInfo> info() const {
        auto info = detail::sized<SemsynthDeviceInfo>();
        SEMSYNTH_DETAIL_CHECK(semsynth_device_describe(handle_, &info));
        return info;
    }
};

class Model : public detail::Handle<SemsynthModel, semsynth_model_retain, semsynth_model_release> {
public:
    using Handle::Handle;
    static Result<Model> builtin(const char *name) {
        SemsynthModel *handle = nullptr;
        SEMSYNTH_DETAIL_CHECK(semsynth_model_load_builtin(name, &handle));
        return Model(handle);
    }
    /// The names of the built-in models.
    static Result<std::vector<std::string>> builtins() {
        std::size_t count = 0;
        SEMSYNTH_DETAIL_CHECK(semsynth_builtin_count(&count));
        std::vector<std::string> names;
        for (std::size_t i = 0; i < count; ++i) {
            char name[64];
            SEMSYNTH_DETAIL_CHECK(semsynth_builtin_name(i, name, sizeof name));
            names.emplace_back(name);
        }
        return names;
    }
    static Result<Model> open(const char *path, const SemsynthModelOptions *options = nullptr) {
        SemsynthModel *handle = nullptr;
        SEMSYNTH_DETAIL_CHECK(semsynth_model_load_file(path, options, &handle));
        return Model(handle);
    }
    static Result<Model> from_memory(const void *data, std::size_t size,
                                     const SemsynthModelOptions *options = nullptr) {
        SemsynthModel *handle = nullptr;
        SEMSYNTH_DETAIL_CHECK(
            semsynth_model_load_memory(static_cast<const std::uint8_t *>(data), size, options, &handle));
        return Model(handle);
    }
    Result<SemsynthModelInfo> info() const {
        auto info = detail::sized<SemsynthModelInfo>();
        SEMSYNTH_DETAIL_CHECK(semsynth_model_info(handle_, &info));
        return info;
    }
    /// The id of a class.
    Result<std::uint32_t> find_class(const char *name) const {
        std::uint32_t id = 0;
        SEMSYNTH_DETAIL_CHECK(semsynth_model_find_class(handle_, name, &id));
        return id;
    }
    /// The presets: named styles. The first is what the model paints without a style.
    Result<std::vector<SemsynthPreset>> presets() const {
        std::size_t count = 0;
        SEMSYNTH_DETAIL_CHECK(semsynth_model_preset_count(handle_, &count));
        std::vector<SemsynthPreset> presets(count, detail::sized<SemsynthPreset>());
        for (std::size_t i = 0; i < count; ++i)
            SEMSYNTH_DETAIL_CHECK(semsynth_model_preset(handle_, i, &presets[i]));
        return presets;
    }
    /// The pixels that can change if labels in a rectangle change, in a picture of a size or, without one, in a world
    /// without borders.
    Result<Rect> affected(const Rect &edit, std::uint32_t width = 0, std::uint32_t height = 0) const {
        Rect rect = {0, 0, 0, 0};
        SEMSYNTH_DETAIL_CHECK(semsynth_affected_rect(handle_, &edit, width, height, &rect));
        return rect;
    }
};

class Palette : public detail::Handle<SemsynthPalette, semsynth_palette_retain, semsynth_palette_release> {
public:
    using Handle::Handle;
    /// A model's own classes and colours.
    static Result<Palette> of(const Model &model) {
        SemsynthPalette *handle = nullptr;
        SEMSYNTH_DETAIL_CHECK(semsynth_palette_create(model.get(), &handle));
        return Palette(handle);
    }
    static Result<Palette> from(const std::vector<SemsynthClass> &classes) {
        SemsynthPalette *handle = nullptr;
        SEMSYNTH_DETAIL_CHECK(semsynth_palette_create_from(classes.data(), classes.size(), &handle));
        return Palette(handle);
    }
    /// The content of a file: `kind` is SEMSYNTH_PALETTE_GPL, _JSON or _RON.
    static Result<Palette> parse(std::uint32_t kind, std::string_view text) {
        SemsynthPalette *handle = nullptr;
        SEMSYNTH_DETAIL_CHECK(semsynth_palette_parse(
            kind, reinterpret_cast<const std::uint8_t *>(text.data()), text.size(), &handle));
        return Palette(handle);
    }
    Result<std::vector<SemsynthClass>> classes() const {
        std::size_t count = 0;
        SEMSYNTH_DETAIL_CHECK(semsynth_palette_count(handle_, &count));
        std::vector<SemsynthClass> classes(count);
        for (std::size_t i = 0; i < count; ++i)
            SEMSYNTH_DETAIL_CHECK(semsynth_palette_class(handle_, i, &classes[i]));
        return classes;
    }
    /// Class ids of a picture in colours, row by row: `policy` is a SEMSYNTH_COLORS_ constant. `report` takes what was
    /// found, also where colours of no class are an error.
    Result<std::vector<std::uint16_t>> ids(const Image &colors, std::uint32_t policy = SEMSYNTH_COLORS_EXACT,
                                           std::uint32_t tolerance = 0, SemsynthReport *report = nullptr) const {
        // Sizes beyond the library's limits are its errors, not those of the allocator.
        const bool fits = colors.width() <= 32768 && colors.height() <= 32768;
        std::vector<std::uint16_t> ids(fits ? colors.width() * colors.height() : 1);
        if (report)
            report->struct_size = sizeof *report;
        SEMSYNTH_DETAIL_CHECK(
            semsynth_labels_from_colors(handle_, colors.get(), policy, tolerance, ids.data(), ids.size(), report));
        return ids;
    }
    /// Paints labels in the colours of their classes, as a preview.
    Status colors(const Labels &labels, const Image &image) const {
        SEMSYNTH_DETAIL_CHECK(semsynth_labels_to_colors(handle_, labels.get(), image.get()));
        SEMSYNTH_DETAIL_DONE;
    }
};

class Style : public detail::Handle<SemsynthStyle, semsynth_style_retain, semsynth_style_release> {
public:
    using Handle::Handle;
    static Result<Style> from_seed(const Model &model, std::uint64_t seed) {
        SemsynthStyle *handle = nullptr;
        SEMSYNTH_DETAIL_CHECK(semsynth_style_from_seed(model.get(), seed, &handle));
        return Style(handle);
    }
    /// A preset of a model; nullptr for its first.
    static Result<Style> preset(const Model &model, const char *name) {
        SemsynthStyle *handle = nullptr;
        SEMSYNTH_DETAIL_CHECK(semsynth_style_from_preset(model.get(), name, &handle));
        return Style(handle);
    }
    static Result<Style> global(const std::vector<float> &values) {
        SemsynthStyle *handle = nullptr;
        SEMSYNTH_DETAIL_CHECK(
            semsynth_style_from_values(SEMSYNTH_STYLE_GLOBAL, values.data(), 1, values.size(), &handle));
        return Style(handle);
    }
    /// One row of values per class id.
    static Result<Style> regions(const std::vector<float> &values, std::size_t rows) {
        SemsynthStyle *handle = nullptr;
        SEMSYNTH_DETAIL_CHECK(semsynth_style_from_values(SEMSYNTH_STYLE_REGIONS, values.data(), rows,
                                                         rows == 0 ? 0 : values.size() / rows, &handle));
        return Style(handle);
    }
    Result<SemsynthStyleInfo> info() const {
        auto info = detail::sized<SemsynthStyleInfo>();
        SEMSYNTH_DETAIL_CHECK(semsynth_style_info(handle_, &info));
        return info;
    }
    static Result<Style> load(const Model &model, const std::vector<std::uint8_t> &data) {
        SemsynthStyle *handle = nullptr;
        SEMSYNTH_DETAIL_CHECK(semsynth_style_load(model.get(), data.data(), data.size(), &handle));
        return Style(handle);
    }
    Result<std::vector<std::uint8_t>> save() const {
        std::size_t size = 0;
        SEMSYNTH_DETAIL_CHECK(semsynth_style_save(handle_, nullptr, 0, &size));
        std::vector<std::uint8_t> data(size);
        SEMSYNTH_DETAIL_CHECK(semsynth_style_save(handle_, data.data(), data.size(), &size));
        return data;
    }
    /// `weight` 0 is this style, 1 the other.
    Result<Style> blend(const Style &other, float weight) const {
        SemsynthStyle *handle = nullptr;
        SEMSYNTH_DETAIL_CHECK(semsynth_style_blend(handle_, other.get(), weight, &handle));
        return Style(handle);
    }
    Result<Style> with_class(std::uint32_t id, const Style &from, std::uint32_t from_id) const {
        SemsynthStyle *handle = nullptr;
        SEMSYNTH_DETAIL_CHECK(semsynth_style_with_class(handle_, id, from.get(), from_id, &handle));
        return Style(handle);
    }
};

/// Cancels calls that were given it, from any thread.
class Cancel : public detail::Handle<SemsynthCancel, semsynth_cancel_retain, semsynth_cancel_release> {
public:
    using Handle::Handle;
    static Result<Cancel> create() {
        SemsynthCancel *handle = nullptr;
        SEMSYNTH_DETAIL_CHECK(semsynth_cancel_create(&handle));
        return Cancel(handle);
    }
    void now() const noexcept { semsynth_cancel_now(handle_); }
};

/// Hears of progress, 0 to 1; returns false to cancel.
using Progress = std::function<bool(float)>;

namespace detail {

/// Calls a C++ function from C. An exception in it cancels, and is thrown again once the library has returned.
class Reporter {
public:
    explicit Reporter(const Progress &progress) : progress_(progress) {}
    template <class T> void install(T &options) {
        if (progress_) {
            options.progress = &Reporter::call;
            options.user = this;
        }
    }
    void rethrow() {
#ifndef SEMSYNTH_NO_EXCEPTIONS
        if (thrown_)
            std::rethrow_exception(std::exchange(thrown_, nullptr));
#endif
    }

private:
    static std::uint32_t call(void *user, float done) {
        Reporter &self = *static_cast<Reporter *>(user);
#ifndef SEMSYNTH_NO_EXCEPTIONS
        try {
            return self.progress_(done) ? 1 : 0;
        } catch (...) {
            self.thrown_ = std::current_exception();
            return 0;
        }
#else
        return self.progress_(done) ? 1 : 0;
#endif
    }
    Progress progress_;
#ifndef SEMSYNTH_NO_EXCEPTIONS
    std::exception_ptr thrown_;
#endif
};

} // namespace detail

/// What a picture is made of besides its labels. Keeps the styles and the token it is given.
class Request {
public:
    Request &seed(std::uint64_t seed) {
        value_.seed = seed;
        return *this;
    }
    /// The place in the world where the labels begin.
    Request &origin(std::int64_t x, std::int64_t y) {
        value_.origin_x = x;
        value_.origin_y = y;
        return *this;
    }
    /// The part of the labels to paint.
    Request &region(const Rect &region) {
        value_.region = region;
        return *this;
    }
    /// SEMSYNTH_BORDER_ constants.
    Request &borders(std::uint32_t rows, std::uint32_t columns) {
        value_.border_rows = rows;
        value_.border_columns = columns;
        return *this;
    }
    Request &wrap() { return borders(SEMSYNTH_BORDER_WRAP, SEMSYNTH_BORDER_WRAP); }
    Request &memory_limit(std::uint64_t bytes) {
        value_.memory_limit = bytes;
        return *this;
    }
    /// A SEMSYNTH_STATISTICS_ constant.
    Request &statistics(std::uint32_t statistics) {
        value_.statistics = statistics;
        return *this;
    }
    /// Instance ids, as large as the labels, in memory that stays.
    Request &instances(const Labels &instances) {
        instances_ = instances;
        return *this;
    }
    Request &quiet() {
        value_.flags |= SEMSYNTH_REQUEST_QUIET;
        return *this;
    }
    Request &style(Style style) {
        style_ = std::move(style);
        return *this;
    }
    /// The style of one class, taken from a style.
    Request &region_style(std::uint32_t id, Style style, float weight = 1.0F) {
        regions_.push_back({id, std::move(style), weight});
        return *this;
    }
    Request &cancel(Cancel cancel) {
        cancel_ = std::move(cancel);
        return *this;
    }
    Request &progress(Progress progress) {
        progress_ = std::move(progress);
        return *this;
    }
    const Progress &progress() const noexcept { return progress_; }

    /// Calls a function with the request in the form of semsynth.h.
    template <class Call> SemsynthStatus use(detail::Reporter &reporter, Call &&call) const {
        SemsynthRequest value = value_;
        std::vector<SemsynthRegionStyle> regions;
        for (const Region &region : regions_)
            regions.push_back({region.style.get(), region.id, region.weight});
        value.style = style_.get();
        value.region_styles = regions.data();
        value.region_style_count = regions.size();
        value.instances = instances_ ? instances_->get() : nullptr;
        value.cancel = cancel_.get();
        reporter.install(value);
        return call(static_cast<const SemsynthRequest *>(&value));
    }
    const Rect &region() const noexcept { return value_.region; }

private:
    struct Region {
        std::uint32_t id;
        Style style;
        float weight;
    };
    SemsynthRequest value_ = detail::sized<SemsynthRequest>();
    Style style_;
    std::vector<Region> regions_;
    std::optional<Labels> instances_;
    Cancel cancel_;
    Progress progress_;
};

/// A picture that is painted in the background, like a future. The last owner's destructor cancels it and waits.
class Job {
public:
    Job() = default;
    Job(Job &&) = default;
    Job &operator=(Job &&other) {
        // The job that was here must end before what it calls goes.
        handle_ = std::move(other.handle_);
        reporter_ = std::move(other.reporter_);
        return *this;
    }
    /// Waits, and throws why it failed.
    Status get() {
        const SemsynthStatus status = semsynth_job_wait(handle_.get(), -1);
        if (reporter_)
            reporter_->rethrow();
        SEMSYNTH_DETAIL_CHECK(status);
        SEMSYNTH_DETAIL_DONE;
    }
    /// Whether it has ended within a time.
    bool wait_for(std::chrono::milliseconds time) const {
        const SemsynthStatus status = semsynth_job_wait(handle_.get(), time.count() < 0 ? 0 : time.count());
        // In a callback of its session it cannot end.
        return status != SEMSYNTH_STATUS_TIMEOUT && status != SEMSYNTH_STATUS_BUSY;
    }
    bool ready() const { return wait_for(std::chrono::milliseconds(0)); }
    /// 0 to 1.
    float progress() const {
        float done = 0;
        semsynth_job_poll(handle_.get(), nullptr, &done);
        return done;
    }
    void cancel() const noexcept { semsynth_job_cancel(handle_.get()); }

private:
    friend class Session;
    using Owner = detail::Handle<SemsynthJob, semsynth_job_retain, semsynth_job_release>;
    // Destroyed in reverse order: first the job ends, then what it calls goes.
    std::unique_ptr<detail::Reporter> reporter_;
    Owner handle_;
};

class Session : public detail::Handle<SemsynthSession, semsynth_session_retain, semsynth_session_release> {
public:
    using Handle::Handle;
    static Result<Session> create(const Device &device, const Model &model,
                                  const SemsynthSessionOptions *options = nullptr) {
        SemsynthSession *handle = nullptr;
        SEMSYNTH_DETAIL_CHECK(semsynth_session_create(device.get(), model.get(), options, &handle));
        return Session(handle);
    }
#ifndef SEMSYNTH_NO_EXCEPTIONS
    Session(const Device &device, const Model &model) : Session(create(device, model)) {}
#endif
    /// Another session with the same weights, for another thread.
    Result<Session> fork() const {
        SemsynthSession *handle = nullptr;
        SEMSYNTH_DETAIL_CHECK(semsynth_session_fork(handle_, &handle));
        return Session(handle);
    }
    /// Paints into memory of the caller's.
    Status synthesize(const Labels &labels, const Image &image, const Request &request = Request()) const {
        detail::Reporter reporter(request.progress());
        const SemsynthStatus status = request.use(reporter, [&](const SemsynthRequest *value) {
            return semsynth_synthesize(handle_, labels.get(), value, image.get());
        });
        reporter.rethrow();
        SEMSYNTH_DETAIL_CHECK(status);
        SEMSYNTH_DETAIL_DONE;
    }
    /// Paints red, green and blue bytes, row by row.
    Result<std::vector<std::uint8_t>> synthesize(const Labels &labels, const Request &request = Request()) const {
        const Rect &region = request.region();
        const bool whole = region.width == 0 && region.height == 0;
        const std::size_t width = whole ? labels.width() : region.width;
        const std::size_t height = whole ? labels.height() : region.height;
        std::vector<std::uint8_t> bytes(width <= 32768 && height <= 32768 ? 3 * width * height : 0);
        // NULL is an error; wrong sizes should be told instead.
        std::uint8_t none[4] = {0, 0, 0, 0};
        const Image image(bytes.empty() ? none : bytes.data(), width, height);
#ifndef SEMSYNTH_NO_EXCEPTIONS
        synthesize(labels, image, request);
#else
        if (Status status = synthesize(labels, image, request); !status)
            return status.error();
#endif
        return bytes;
    }
    /// Paints in the background; the picture's memory must stay until the job has ended.
    Result<Job> synthesize_async(const Labels &labels, const Image &image, const Request &request = Request()) const {
        Job job;
        job.reporter_.reset(new detail::Reporter(request.progress()));
        SemsynthJob *handle = nullptr;
        SEMSYNTH_DETAIL_CHECK(request.use(*job.reporter_, [&](const SemsynthRequest *value) {
            return semsynth_synthesize_async(handle_, labels.get(), value, image.get(), &handle);
        }));
        job.handle_ = Job::Owner(handle);
        return Result<Job>(std::move(job));
    }
    Result<SemsynthEstimate> estimate(std::uint32_t width, std::uint32_t height,
                                      const Request &request = Request()) const {
        auto estimate = detail::sized<SemsynthEstimate>();
        detail::Reporter none{Progress()};
        SEMSYNTH_DETAIL_CHECK(request.use(none, [&](const SemsynthRequest *value) {
            return semsynth_session_estimate(handle_, width, height, value, &estimate);
        }));
        return estimate;
    }
    /// Prepares for pictures of a size, so that the first one is as fast as later ones.
    Status warm_up(std::size_t width, std::size_t height, const Request &request = Request()) const {
        detail::Reporter none{Progress()};
        SEMSYNTH_DETAIL_CHECK(request.use(none, [&](const SemsynthRequest *value) {
            return semsynth_session_warm_up(handle_, width, height, value);
        }));
        SEMSYNTH_DETAIL_DONE;
    }
    /// Encodes the style of a photo.
    Result<Style> encode(const Image &photo, const Labels *labels = nullptr) const {
        SemsynthStyle *handle = nullptr;
        SEMSYNTH_DETAIL_CHECK(
            semsynth_style_encode(handle_, photo.get(), labels ? labels->get() : nullptr, &handle));
        return Style(handle);
    }
};

/// A live picture of labels that are edited.
class Canvas : public detail::Handle<SemsynthCanvas, semsynth_canvas_retain, semsynth_canvas_release> {
public:
    using Handle::Handle;
    static Result<Canvas> create(const Session &session, const Labels &labels, const Request &request = Request()) {
        SemsynthCanvas *handle = nullptr;
        detail::Reporter none{Progress()};
        SEMSYNTH_DETAIL_CHECK(request.use(none, [&](const SemsynthRequest *value) {
            return semsynth_canvas_create(session.get(), labels.get(), value, &handle);
        }));
        return Canvas(handle);
    }
#ifndef SEMSYNTH_NO_EXCEPTIONS
    Canvas(const Session &session, const Labels &labels, const Request &request = Request())
        : Canvas(create(session, labels, request)) {}
#endif
    /// Changes labels, and returns the pixels that depend on them. Computes nothing.
    Result<Rect> edit(const Labels &labels, std::int64_t x, std::int64_t y) const {
        Rect affected = {0, 0, 0, 0};
        SEMSYNTH_DETAIL_CHECK(semsynth_canvas_edit(handle_, labels.get(), x, y, &affected));
        return affected;
    }
    /// Writes pixels that changed into a picture as large as the canvas, and returns their rectangles.
    Result<std::vector<Rect>> update(std::uint32_t goal, const Image *image, const Progress &progress = Progress(),
                                     const Cancel &cancel = Cancel(), std::uint32_t levels = 1) const {
        auto options = detail::sized<SemsynthUpdate>();
        options.goal = goal;
        options.levels = levels;
        options.cancel = cancel.get();
        detail::Reporter reporter(progress);
        reporter.install(options);
        std::vector<Rect> rects(64);
        std::size_t count = 0;
        const SemsynthStatus status = semsynth_canvas_update(
            handle_, &options, image ? image->get() : nullptr, rects.data(), rects.size(), &count);
        reporter.rethrow();
        SEMSYNTH_DETAIL_CHECK(status);
        rects.resize(count);
        return rects;
    }
    /// Changes style, seed and so on. The next update paints everything.
    Status set_request(const Request &request) const {
        detail::Reporter none{Progress()};
        SEMSYNTH_DETAIL_CHECK(request.use(none, [&](const SemsynthRequest *value) {
            return semsynth_canvas_set_request(handle_, value);
        }));
        SEMSYNTH_DETAIL_DONE;
    }
    /// The labels of a rectangle, row by row, for undo for instance.
    Result<std::vector<std::uint16_t>> labels(const Rect &rect) const {
        const bool fits = rect.width <= 32768 && rect.height <= 32768;
        std::vector<std::uint16_t> ids(fits ? std::size_t(rect.width) * rect.height : 1);
        // NULL is an error; a wrong rectangle should be told instead.
        std::uint16_t none = 0;
        SEMSYNTH_DETAIL_CHECK(semsynth_canvas_labels(handle_, &rect, ids.empty() ? &none : ids.data(), ids.size()));
        return ids;
    }
    /// Whether an update to a goal would compute nothing.
    Result<bool> is_at(std::uint32_t goal, std::uint32_t levels = 1) const {
        std::uint32_t there = 0;
        SEMSYNTH_DETAIL_CHECK(semsynth_canvas_is_at(handle_, goal, levels, &there));
        return there != 0;
    }
    /// Bytes that it keeps between edits, besides 7 per pixel.
    Result<std::uint64_t> memory() const {
        std::uint64_t bytes = 0;
        SEMSYNTH_DETAIL_CHECK(semsynth_canvas_memory(handle_, &bytes));
        return bytes;
    }
    /// Copies the picture.
    Status read(const Image &image) const {
        SEMSYNTH_DETAIL_CHECK(semsynth_canvas_read(handle_, image.get()));
        SEMSYNTH_DETAIL_DONE;
    }
};

} // namespace semsynth

#undef SEMSYNTH_DETAIL_CHECK
#undef SEMSYNTH_DETAIL_DONE

#endif
