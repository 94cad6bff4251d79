//! Memory is asked for before much of it is taken, because a system may end a process that takes more than there is.

use std::fs;

use crate::error::{Error, Result};

/// Less than this is not asked for.
const LITTLE: usize = 32 << 20;

/// Checks that the system can give this many bytes. `what` needs them, as in "the picture needs 3.0 GB of memory".
///
/// # Errors
///
/// [`Error::Limit`] if it cannot, with both numbers.
pub(crate) fn ask(bytes: usize, what: &str) -> Result<()> {
    if bytes < LITTLE {
        return Ok(());
    }
    let refused = |free: Option<usize>| {
        let there = free.map(|free| format!(", and {} is free", gigabytes(free))).unwrap_or_default();
        Error::Limit(format!(
            "{what} needs {} of memory{there}: close other programs, make it smaller, or use a machine with more memory",
            gigabytes(bytes)
        ))
    };
    let free = available();
    if free.is_some_and(|free| bytes > free) {
        return Err(refused(free));
    }
    // Systems that promise no more than they have say so here.
    Vec::<u8>::new().try_reserve_exact(bytes).map_err(|_| refused(free))
}

/// Whether the system can give this many bytes, or does not say.
pub(crate) fn fits(bytes: usize) -> bool {
    bytes < LITTLE || available().is_none_or(|free| bytes <= free)
}

/// As [`ask`], for `count` values of some bytes each.
pub(crate) fn ask_for(count: usize, each: usize, what: &str) -> Result<()> {
    ask(count.saturating_mul(each), what)
}

/// Bytes that can still be taken, where the system says so: the least of what is free, what the control group allows,
/// and what the process may.
pub(crate) fn available() -> Option<usize> {
    let file = |path: &str| fs::read_to_string(path).ok();
    let free = file("/proc/meminfo").and_then(|text| kibibytes(&text, "MemAvailable:"));
    let process = file("/proc/self/limits").zip(file("/proc/self/status")).and_then(|(limits, status)| {
        let limit = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
        let limit: usize = limit.split_whitespace().next()?.parse().ok()?;
        Some(limit.saturating_sub(kibibytes(&status, "VmSize:")?))
    });
    let group = file("/proc/self/cgroup").and_then(|text| {
        let group = text.lines().find_map(|line| line.strip_prefix("0::"))?.trim_end_matches('/').to_owned();
        let folder = format!("/sys/fs/cgroup{group}");
        let number = |name: &str| file(&format!("{folder}/{name}"))?.trim().parse::<usize>().ok();
        // The system drops files that it keeps in memory before it ends a process.
        let files = file(&format!("{folder}/memory.stat"))
            .and_then(|text| text.lines().find_map(|line| line.strip_prefix("inactive_file ")?.parse().ok()));
        let used = number("memory.current")?.saturating_sub(files.unwrap_or(0));
        Some(number("memory.max")?.saturating_sub(used))
    });
    [free, process, group].into_iter().flatten().min()
}

/// The number of bytes of an entry such as `MemAvailable:   123 kB`.
fn kibibytes(text: &str, name: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()?.checked_mul(1024)
}

/// Such as `1.25 GB`.
fn gigabytes(bytes: usize) -> String {
    format!("{:.2} GB", bytes as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_there_is_is_refused_in_words() {
        assert!(ask(LITTLE - 1, "it").is_ok());
        assert!(ask_for(1 << 10, 1 << 10, "it").is_ok());
        for bytes in [1 << 60, usize::MAX] {
            let refused = ask(bytes, "the photo").unwrap_err();
            assert!(matches!(&refused, Error::Limit(text) if text.starts_with("the photo needs ")), "{refused}");
        }
        assert!(ask_for(usize::MAX / 2, 7, "it").is_err());
    }

    #[test]
    fn entries_of_the_system_are_read() {
        let text = "MemTotal:       24689764 kB\nMemFree: 1 kB\nMemAvailable:   23 kB\n";
        assert_eq!(kibibytes(text, "MemAvailable:"), Some(23 << 10));
        assert_eq!(kibibytes(text, "SwapFree:"), None);
        if cfg!(target_os = "linux") {
            assert!(available().unwrap() > LITTLE);
        }
    }
}
