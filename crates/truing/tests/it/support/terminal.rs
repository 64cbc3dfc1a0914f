//! Provides a terminal for programs whose output depends on the terminal.

use std::fs::File;
use std::io::Read as _;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// The two ends of a pseudo-terminal.
pub(crate) struct Terminal {
    /// The end from which the test reads the output.
    pub(crate) screen: File,
    /// The end that the tested program uses as its terminal.
    pub(crate) line: File,
}

impl Terminal {
    /// Opens a terminal with this number of columns.
    pub(crate) fn open(columns: u16) -> Self {
        let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&screen).unwrap();
        unlockpt(&screen).unwrap();
        let name = ptsname(&screen, Vec::new()).unwrap();
        let line = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&line, size).unwrap();
        Self { screen: File::from(screen), line }
    }
}

/// Returns everything that programs write to the terminal until all of them have closed it.
pub(crate) fn read_screen(mut screen: File) -> String {
    let (mut seen, mut part) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = screen.read(&mut part) {
        seen.extend_from_slice(&part[..count]);
    }
    String::from_utf8_lossy(&seen).into_owned()
}
