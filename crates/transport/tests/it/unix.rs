//! Sockets in the file system.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};

use noctule_transport::{BindError, ListenUrl, Listener, Peer};

use crate::support::{accept, serve};

fn url(path: &std::path::Path) -> ListenUrl {
    format!("unix:{}", path.display()).parse().expect("a listen URL")
}

#[test]
fn bytes_pass_through_a_socket_file_that_goes_with_its_listener() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let mut listeners = Listener::bind(&url(&path)).expect("a free path");
    assert_eq!(listeners[0].url(), &url(&path));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let mut client = UnixStream::connect(&path).unwrap();
    let (mut stream, peer) = accept(&mut listeners[0]);
    assert_eq!((peer, peer.to_string().as_str()), (Peer::Local, "unix"));
    client.write_all(b"call").unwrap();
    serve(&mut stream, 100, |_, received, _| (received == b"call").then_some(()));
    drop(listeners);
    assert!(!path.exists());
}

#[test]
fn what_a_crash_left_behind_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    // The standard library leaves the file behind.
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let listeners = Listener::bind(&url(&path)).expect("nobody listens there");
    UnixStream::connect(&path).unwrap();
    drop(listeners);
}

#[test]
fn what_somebody_uses_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let in_use = folder.path().join("in-use");
    let _other = UnixListener::bind(&in_use).unwrap();
    let error = Listener::bind(&url(&in_use)).expect_err("it is in use");
    assert!(matches!(error, BindError::SocketInUse { .. }), "{error}");
    UnixStream::connect(&in_use).expect("still there");

    let file = folder.path().join("file");
    fs::write(&file, "letter").unwrap();
    let error = Listener::bind(&url(&file)).expect_err("it is a file");
    assert!(matches!(error, BindError::NotASocket { .. }), "{error}");
    assert_eq!(fs::read(&file).unwrap(), b"letter");

    let error = Listener::bind(&url(&folder.path().join("no-such-folder/x"))).expect_err("no folder");
    assert!(matches!(error, BindError::SocketFile { .. }), "{error}");
}
