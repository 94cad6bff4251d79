#!/bin/sh
# Builds libsemsynth and installs it: libraries, headers, pkg-config and CMake files, licences.
#
#     ffi/install.sh --prefix "$HOME/.local"
#
# The installed folder can be moved. For packagers: --destdir, --libdir lib/x86_64-linux-gnu, and --built FOLDER to install what
# `cargo build --profile dist -p semsynth-ffi` has built there, without building.
set -eu
cd "$(dirname "$0")/.."

usage() {
    cat <<'USAGE'
usage: ffi/install.sh [--prefix DIR] [--destdir DIR] [--libdir DIR] [--features LIST] [--built DIR]
  --prefix DIR     where to install [default: /usr/local]
  --destdir DIR    a folder to put in front of the prefix, for packages
  --libdir DIR     folder of libraries, within the prefix [default: lib]
  --features LIST  "gpu" for GPUs through wgpu, "" for the CPU only [default: gpu]
  --built DIR      install the libraries in this folder instead of building them
USAGE
}

prefix=/usr/local destdir='' libdir=lib features=gpu built=''
while [ $# -gt 0 ]; do
    case $1 in
    --help | -h) usage && exit ;;
    --prefix | --destdir | --libdir | --features | --built) [ $# -ge 2 ] || { echo "error: $1 needs a value" >&2 && exit 2; } ;;
    esac
    case $1 in
    --prefix) prefix=$2 ;;
    --destdir) destdir=$2 ;;
    --libdir) libdir=$2 ;;
    --features) features=$2 ;;
    --built) built=$2 ;;
    *) echo "error: there is no option $1" >&2 && usage >&2 && exit 2 ;;
    esac
    shift 2
done
case $libdir in
/* | *..*) echo "error: --libdir $libdir: give a folder within the prefix, such as lib/x86_64-linux-gnu" >&2 && exit 2 ;;
esac

if [ -z "$built" ]; then
    cargo build --profile dist -p semsynth-ffi --features "$features"
    built=${CARGO_TARGET_DIR:-target}/dist
fi

# The workspace's version, and what of it is in the library's name; see ffi/build.rs.
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
major=${version%%.*}
minor=${version#*.} minor=${minor%%.*}
if [ "$major" = 0 ]; then interface=0.$minor; else interface=$major; fi
case $(uname -s) in
Darwin) shared=libsemsynth.$version.dylib soname=@rpath/libsemsynth.$interface.dylib from=libsemsynth.dylib
    links="libsemsynth.$interface.dylib libsemsynth.dylib" private="-framework Foundation -framework Metal -framework QuartzCore -lSystem -lc -lm" ;;
*) shared=libsemsynth.so.$version soname=libsemsynth.so.$interface from=libsemsynth.so
    # As `cargo rustc -p semsynth-ffi -- --print native-static-libs` says.
    links="libsemsynth.so.$interface libsemsynth.so" private="-lgcc_s -lutil -lrt -lpthread -lm -ldl -lc" ;;
esac

root=$destdir$prefix
lib=$root/$libdir
share=$root/share/doc/semsynth
install -d "$lib/pkgconfig" "$lib/cmake/semsynth" "$root/include" "$share"
install -m 755 "$built/$from" "$lib/$shared"
for link in $links; do ln -sf "$shared" "$lib/$link"; done
install -m 644 "$built/libsemsynth.a" "$lib/"
# Symbols for debuggers are most of a static library.
strip --strip-debug "$lib/libsemsynth.a" 2>/dev/null || true
install -m 644 include/semsynth.h include/semsynth.hpp "$root/include/"
install -m 644 LICENSE-MIT LICENSE-APACHE "$share/"
install -m 644 core/models/README.md "$share/models.md"

# The way from the folder of pkg-config files, and of CMake files, to the prefix.
up=$(echo "$libdir/pkgconfig" | sed 's#[^/][^/]*#..#g')
url=$(sed -n 's/^repository = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
fill() {
    sed -e "s#@UP@#$up#g; s#@LIBDIR@#$libdir#g; s#@VERSION@#$version#g; s#@MAJOR@#$major#g; s#@MINOR@#$minor#g" \
        -e "s#@SHARED@#$shared#g; s#@SONAME@#$soname#g; s#@PRIVATE@#$private#g; s#@URL@#$url#g" -e '/^URL: $/d' "ffi/package/$1.in" >"$2/$1"
}
fill semsynth.pc "$lib/pkgconfig"
fill semsynth-config.cmake "$lib/cmake/semsynth"
fill semsynth-config-version.cmake "$lib/cmake/semsynth"
echo "semsynth $version installed into $root"
