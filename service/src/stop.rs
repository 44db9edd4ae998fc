//! Being asked to stop.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::Context as _;

/// Interrupted, as a shell counts signal 2.
pub const EXIT_INTERRUPTED: u8 = 130;

/// A flag that is set once the process gets SIGTERM, SIGINT or SIGHUP. Who asks twice does not want to wait:
/// the process then exits at once. To be called once in a process.
///
/// # Errors
///
/// The signals are handled by someone else.
pub fn on_signal() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(EXIT_INTERRUPTED));
        }
    })
    .context("handling Ctrl-C failed")?;
    Ok(stop)
}
