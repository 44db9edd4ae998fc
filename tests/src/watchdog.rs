//! Ends what a test started when the test's own process ends, however that ends.
//!
//! Values that are dropped stop their processes themselves. That leaves a test process that is killed, and the
//! values in its statics, which Rust doesn't drop. For them a shell per test process is told of each process and
//! folder, and tidies up when its standard input ends. (`PR_SET_PDEATHSIG` won't do: it fires when the thread
//! ends that started the process, and each test is a thread.)

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};

/// Reads `kill PID`, `spare PID` and `remove FOLDER`. Processes are leaders of their process groups.
const SCRIPT: &str = r#"
processes=' '
folders=
while read -r verb what; do
    case $verb in
    kill) processes="$processes$what " ;;
    spare) processes="${processes%% "$what" *} ${processes#* "$what" }" ;;
    remove) folders="$folders $what" ;;
    esac
done
for process in $processes; do
    kill -KILL "-$process"
done
# Dying processes still write.
for attempt in 1 2 3 4 5; do
    [ -z "$folders" ] || rm -rf $folders && break
    sleep 0.2
done
"#;

static WATCHDOG: OnceLock<Mutex<Child>> = OnceLock::new();

/// Tells the watchdog something.
pub(crate) fn tell(verb: &str, what: &str) {
    let watchdog = WATCHDOG.get_or_init(|| {
        let shell = Command::new("sh")
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Not reached by the interrupt that a terminal sends to the tests.
            .process_group(0)
            .spawn()
            .unwrap();
        Mutex::new(shell)
    });
    let mut shell = watchdog.lock().unwrap();
    writeln!(shell.stdin.as_mut().unwrap(), "{verb} {what}").unwrap();
}
