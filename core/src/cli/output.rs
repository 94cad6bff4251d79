//! Prints results and messages. The macros of the standard library panic when nobody reads any more, as after
//! `semsynth models | head -1`; these have their names, and do not.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write as _, stderr, stdout};
use std::process::exit;

/// What a shell reports of a program that the signal SIGPIPE has ended.
const BROKEN_PIPE: i32 = 128 + 13;

macro_rules! print {
    ($($text:tt)*) => { $crate::cli::output::print_result(format_args!($($text)*)) };
}

macro_rules! println {
    () => { $crate::cli::output::print_result(format_args!("\n")) };
    ($($text:tt)*) => { $crate::cli::output::print_result(format_args!("{}\n", format_args!($($text)*))) };
}

macro_rules! eprintln {
    ($($text:tt)*) => { $crate::cli::output::print_message(format_args!("{}\n", format_args!($($text)*))) };
}

/// Prints results. If nobody reads them any more, the program ends without a word, as others do in a pipe; if they cannot be
/// written, with an error. So work is saved before its results are printed.
pub(super) fn print_result(text: Arguments) {
    match stdout().write_fmt(text) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => exit(BROKEN_PIPE),
        Err(error) => {
            print_message(format_args!("error: the results cannot be printed to standard output: {error}\n"));
            exit(1);
        }
    }
}

/// Prints a message. Nothing that is computed may be lost because nobody reads it.
pub(super) fn print_message(text: Arguments) {
    let _ = stderr().write_fmt(text);
}
