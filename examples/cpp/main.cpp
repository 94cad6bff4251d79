// A facade in C++: a palette, styles, a picture with progress, one in the background, and one that is cancelled.
//
//     cmake -B build -DCMAKE_PREFIX_PATH=PREFIX && cmake --build build && build/facade OUTPUT.ppm
#include <semsynth.hpp>

#include <chrono>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

/// Colours as an artist paints them: the names are what ties them to classes.
const char *const PALETTE = R"(GIMP Palette
Name: facade
#
 40  40  40	background
210 180 140	facade
 70 110 160	window
100  60  30	door
 90  90  90	balcony
)";

/// A picture of labels in colours, red, green and blue.
struct Drawing {
    std::size_t width, height;
    std::vector<std::uint8_t> pixels;

    Drawing(std::size_t w, std::size_t h, const SemsynthClass &all) : width(w), height(h), pixels(3 * w * h) {
        rectangle(0, 0, w, h, all);
    }
    void rectangle(std::size_t x, std::size_t y, std::size_t w, std::size_t h, const SemsynthClass &of) {
        for (std::size_t row = y; row < y + h && row < height; ++row)
            for (std::size_t column = x; column < x + w && column < width; ++column) {
                std::uint8_t *pixel = &pixels[3 * (row * width + column)];
                pixel[0] = of.red, pixel[1] = of.green, pixel[2] = of.blue;
            }
    }
};

/// The classes of the palette, with the ids that the model has for their names.
semsynth::Palette palette_for(const semsynth::Model &model) {
    std::vector<SemsynthClass> classes =
        semsynth::Palette::parse(SEMSYNTH_PALETTE_GPL, PALETTE).classes();
    for (SemsynthClass &of : classes)
        of.id = model.find_class(of.name);
    return semsynth::Palette::from(classes);
}

SemsynthClass named(const semsynth::Palette &palette, const std::string &name) {
    for (const SemsynthClass &of : palette.classes())
        if (name == of.name)
            return of;
    throw std::runtime_error("the palette has no " + name);
}

void save(const std::string &path, const std::vector<std::uint8_t> &pixels, std::size_t width, std::size_t height) {
    std::ofstream file(path, std::ios::binary);
    file << "P6\n" << width << ' ' << height << "\n255\n";
    file.write(reinterpret_cast<const char *>(pixels.data()), static_cast<std::streamsize>(pixels.size()));
    if (!file)
        throw std::runtime_error(path + " cannot be written");
}

int run(const std::string &output) {
    const semsynth::Model model = semsynth::Model::builtin("facades");
    const semsynth::Session session(semsynth::Device("auto"), model);
    const semsynth::Palette palette = palette_for(model);

    Drawing drawing(384, 256, named(palette, "background"));
    drawing.rectangle(16, 16, 352, 240, named(palette, "facade"));
    for (std::size_t y : {40, 110})
        for (std::size_t x = 40; x < 340; x += 56)
            drawing.rectangle(x, y, 32, 44, named(palette, "window"));
    drawing.rectangle(170, 180, 44, 76, named(palette, "door"));

    semsynth::Labels labels(drawing.pixels.data(), drawing.width, drawing.height, 0, SEMSYNTH_FORMAT_RGB8);
    labels.palette(palette);

    // Styles: a preset of the model for all, and the windows half as in another one.
    for (const SemsynthPreset &preset : model.presets())
        std::cout << "preset " << preset.name << ": " << preset.summary << '\n';
    const semsynth::Style brick = semsynth::Style::preset(model, "brick");
    const semsynth::Style azure = semsynth::Style::preset(model, "azure");
    const semsynth::Request request =
        semsynth::Request().seed(1).style(brick).region_style(model.find_class("window"), azure, 0.5F);

    // The picture, with progress from 0 to 1.
    float last = -1;
    const std::vector<std::uint8_t> picture =
        session.synthesize(labels, semsynth::Request(request).progress([&](float done) {
            if (done < last)
                throw std::logic_error("progress goes back");
            last = done;
            return true;
        }));
    std::cout << "progress ended at " << last << '\n';
    save(output, picture, drawing.width, drawing.height);

    // The same in the background, into blue, green, red and alpha.
    std::vector<std::uint8_t> bgra(4 * drawing.width * drawing.height);
    const semsynth::Image image(bgra.data(), drawing.width, drawing.height, 0, SEMSYNTH_FORMAT_BGRA8);
    semsynth::Job job = session.synthesize_async(labels, image, request);
    while (!job.wait_for(std::chrono::milliseconds(10)))
        std::cout << "background: " << int(100 * job.progress()) << " %\n";
    job.get();
    for (std::size_t i = 0; i < drawing.width * drawing.height; ++i)
        for (std::size_t channel = 0; channel < 3; ++channel)
            if (bgra[4 * i + 2 - channel] != picture[3 * i + channel])
                throw std::logic_error("the pictures differ");

    // One that is cancelled from its own progress; the session can be used again.
    try {
        session.synthesize(labels, semsynth::Request().progress([](float) { return false; }));
        throw std::logic_error("nothing was cancelled");
    } catch (const semsynth::Error &error) {
        if (!error.cancelled())
            throw;
        std::cout << "cancelled\n";
    }

    // Mistakes are exceptions that say what to do.
    try {
        semsynth::Model::builtin("castles");
    } catch (const semsynth::Error &error) {
        std::cout << "as expected: " << error.what() << '\n';
    }
    return 0;
}

} // namespace

int main(int count, char **arguments) {
    if (count != 2) {
        std::cerr << "usage: facade OUTPUT.ppm\n";
        return 2;
    }
    try {
        return run(arguments[1]);
    } catch (const std::exception &error) {
        std::cerr << "error: " << error.what() << '\n';
        return 1;
    }
}
