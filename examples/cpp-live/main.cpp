// A small painter: a brush changes labels, and only what depends on them is painted and copied.
//
//     paint                     a window: drag to paint, 1 to 9 choose a class, Escape ends (needs SDL2)
//     paint --frames FOLDER     moves the brush by itself, and writes what the window would show
//
//     cmake -B build -DCMAKE_PREFIX_PATH=PREFIX && cmake --build build
#include <semsynth.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#ifdef WITH_SDL2
#include <SDL.h>
#endif

namespace {

constexpr std::size_t SIDE = 512;
constexpr std::int64_t BRUSH = 16;

/// A canvas, and the framebuffer that shows it.
class Painter {
public:
    Painter()
        : model_(semsynth::Model::builtin("facades")), classes_(semsynth::Palette::of(model_).classes()),
          session_(semsynth::Device("cpu"), model_), canvas_(session_, start()), frame_(3 * SIDE * SIDE) {
        settle();
    }

    std::size_t class_count() const { return classes_.size(); }
    const char *name(std::size_t index) const { return classes_[index].name; }
    const std::vector<std::uint8_t> &frame() const { return frame_; }

    /// A dab of the brush with a class: shown at once, refined by `settle`.
    std::vector<semsynth::Rect> dab(std::int64_t x, std::int64_t y, std::size_t index) {
        const std::int64_t left = std::clamp<std::int64_t>(x - BRUSH, 0, SIDE - 1);
        const std::int64_t top = std::clamp<std::int64_t>(y - BRUSH, 0, SIDE - 1);
        const std::int64_t right = std::clamp<std::int64_t>(x + BRUSH, left + 1, SIDE);
        const std::int64_t bottom = std::clamp<std::int64_t>(y + BRUSH, top + 1, SIDE);
        const std::size_t width = std::size_t(right - left), height = std::size_t(bottom - top);
        const std::vector<std::uint16_t> ids(width * height, std::uint16_t(classes_[index].id));
        canvas_.edit(semsynth::Labels(ids, width, height), left, top);
        return update(SEMSYNTH_GOAL_PREVIEW);
    }

    /// What a brush at rest gives time for.
    std::vector<semsynth::Rect> settle() { return update(SEMSYNTH_GOAL_SETTLED); }

private:
    semsynth::Labels start() {
        ids_.assign(SIDE * SIDE, std::uint16_t(std::uint32_t(model_.find_class("facade"))));
        const auto window = std::uint16_t(std::uint32_t(model_.find_class("window")));
        for (std::size_t y = 0; y < SIDE; ++y)
            for (std::size_t x = 0; x < SIDE; ++x)
                if (x % 96 >= 32 && x % 96 < 72 && y % 128 >= 40 && y % 128 < 100)
                    ids_[y * SIDE + x] = window;
        return semsynth::Labels(ids_, SIDE, SIDE);
    }
    std::vector<semsynth::Rect> update(std::uint32_t goal) {
        const semsynth::Image image(frame_.data(), SIDE, SIDE);
        return canvas_.update(goal, &image);
    }

    semsynth::Model model_;
    std::vector<SemsynthClass> classes_;
    std::vector<std::uint16_t> ids_;
    semsynth::Session session_;
    semsynth::Canvas canvas_;
    std::vector<std::uint8_t> frame_;
};

double milliseconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

void save(const std::string &path, const std::vector<std::uint8_t> &pixels) {
    std::ofstream file(path, std::ios::binary);
    file << "P6\n" << SIDE << ' ' << SIDE << "\n255\n";
    file.write(reinterpret_cast<const char *>(pixels.data()), std::streamsize(pixels.size()));
    if (!file)
        throw std::runtime_error(path + " cannot be written");
}

/// Moves a brush across the picture.
void frames(const std::string &folder) {
    Painter painter;
    save(folder + "/start.ppm", painter.frame());
    const std::vector<std::uint8_t> before = painter.frame();
    std::vector<std::uint8_t> shown = before;
    std::size_t copied = 0;
    double slowest = 0, all = 0;
    constexpr int DABS = 24;
    // Copies only the rectangles, as a window would.
    const auto show = [&](const std::vector<semsynth::Rect> &rects) {
        for (const semsynth::Rect &rect : rects)
            for (std::size_t y = std::size_t(rect.y); y < std::size_t(rect.y) + rect.height; ++y) {
                const std::size_t at = 3 * (y * SIDE + std::size_t(rect.x));
                std::copy_n(painter.frame().begin() + std::ptrdiff_t(at), 3 * rect.width,
                            shown.begin() + std::ptrdiff_t(at));
                copied += 3 * rect.width;
            }
    };
    for (int i = 0; i < DABS; ++i) {
        const auto start = std::chrono::steady_clock::now();
        show(painter.dab(64 + 16 * i, 256 + (i % 8) * 6, 5));
        slowest = std::max(slowest, milliseconds_since(start));
        all += milliseconds_since(start);
    }
    save(folder + "/preview.ppm", shown);
    show(painter.settle());
    save(folder + "/settled.ppm", shown);
    if (shown != painter.frame())
        throw std::logic_error("the rectangles did not hold all that changed");
    if (shown == before)
        throw std::logic_error("nothing changed");
    std::cout << DABS << " dabs of " << painter.name(5) << ": " << all / DABS << " ms each, " << slowest
              << " ms at most, " << copied / 1024 << " KiB copied\n";
}

#ifdef WITH_SDL2
void window() {
    Painter painter;
    if (SDL_Init(SDL_INIT_VIDEO) != 0)
        throw std::runtime_error(SDL_GetError());
    SDL_Window *const window =
        SDL_CreateWindow("semsynth", SDL_WINDOWPOS_CENTERED, SDL_WINDOWPOS_CENTERED, SIDE, SIDE, 0);
    SDL_Renderer *const renderer = SDL_CreateRenderer(window, -1, 0);
    SDL_Texture *const texture =
        SDL_CreateTexture(renderer, SDL_PIXELFORMAT_RGB24, SDL_TEXTUREACCESS_STREAMING, SIDE, SIDE);
    if (!texture)
        throw std::runtime_error(SDL_GetError());
    SDL_UpdateTexture(texture, nullptr, painter.frame().data(), 3 * SIDE);
    const auto show = [&](const std::vector<semsynth::Rect> &rects) {
        for (const semsynth::Rect &rect : rects) {
            const SDL_Rect area = {int(rect.x), int(rect.y), int(rect.width), int(rect.height)};
            SDL_UpdateTexture(texture, &area, &painter.frame()[3 * (std::size_t(rect.y) * SIDE + std::size_t(rect.x))],
                              3 * SIDE);
        }
    };
    std::size_t chosen = 3;
    bool settled = true;
    for (bool open = true; open;) {
        SDL_Event event;
        // Refines once the brush has rested.
        if (!SDL_WaitEventTimeout(&event, settled ? 1000 : 150)) {
            if (!settled)
                show(painter.settle());
            settled = true;
        } else if (event.type == SDL_QUIT) {
            open = false;
        } else if (event.type == SDL_KEYDOWN) {
            const SDL_Keycode key = event.key.keysym.sym;
            open = key != SDLK_ESCAPE;
            if (key >= SDLK_1 && key <= SDLK_9 && std::size_t(key - SDLK_1) < painter.class_count()) {
                chosen = std::size_t(key - SDLK_1);
                SDL_SetWindowTitle(window, painter.name(chosen));
            }
        } else if ((event.type == SDL_MOUSEMOTION && (event.motion.state & SDL_BUTTON_LMASK)) ||
                   event.type == SDL_MOUSEBUTTONDOWN) {
            const bool moved = event.type == SDL_MOUSEMOTION;
            show(painter.dab(moved ? event.motion.x : event.button.x, moved ? event.motion.y : event.button.y, chosen));
            settled = false;
        }
        SDL_RenderCopy(renderer, texture, nullptr, nullptr);
        SDL_RenderPresent(renderer);
    }
    SDL_DestroyTexture(texture);
    SDL_DestroyRenderer(renderer);
    SDL_DestroyWindow(window);
    SDL_Quit();
}
#endif

} // namespace

int main(int count, char **arguments) {
    try {
        if (count == 3 && std::string(arguments[1]) == "--frames") {
            frames(arguments[2]);
            return 0;
        }
#ifdef WITH_SDL2
        if (count == 1) {
            window();
            return 0;
        }
#endif
        std::cerr << "usage: paint [--frames FOLDER]; a window needs a build with SDL2\n";
        return 2;
    } catch (const std::exception &error) {
        std::cerr << "error: " << error.what() << '\n';
        return 1;
    }
}
