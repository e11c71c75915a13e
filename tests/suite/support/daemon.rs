//! Processes that live at most as long as their guard, and never longer than the suite, even when that is killed.

use std::{
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A process in the background. Ends with the guard.
pub(crate) struct Daemon {
    child: Child,
}

/// Starts the command given as arguments, and ends it when the process `$0` is gone or the shell is told to.
const TIED: &str = r#""$@" & pid=$!; trap 'kill $pid 2>/dev/null; wait $pid; exit 0' TERM
while kill -0 "$0" 2>/dev/null && kill -0 $pid 2>/dev/null; do sleep .2; done; kill $pid 2>/dev/null; wait $pid"#;

impl Daemon {
    /// Starts a program.
    pub(crate) fn start(command: &[&str], log: &std::path::Path) -> Self {
        let out = std::fs::File::create(log).unwrap();
        let err = out.try_clone().unwrap();
        let child = Command::new("bash")
            .args(["-c", TIED, &std::process::id().to_string()])
            .args(command)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .unwrap_or_else(|error| panic!("start {command:?}: {error}"));
        Self { child }
    }

    /// Waits until something listens on a loopback port.
    pub(crate) fn listening(self, port: u16) -> Self {
        let until = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "nothing listens on port {port} after 30 s");
            thread::sleep(Duration::from_millis(50));
        }
        self
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        Command::new("kill").arg(self.child.id().to_string()).status().ok();
        self.child.wait().ok();
    }
}

/// A port that nobody listened on a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}
