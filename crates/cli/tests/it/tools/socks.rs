//! A SOCKS5 proxy (RFC 1928, RFC 1929): by name or by address, with a password or without.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::thread;

/// Starts a proxy that wants these credentials, if any; the port it listens on. It ends with the process.
pub(super) fn start(credentials: Option<(&'static str, &'static str)>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // A client that breaks off has got what it wanted.
            thread::spawn(move || drop(serve(client, credentials)));
        }
    });
    port
}

fn serve(mut client: TcpStream, credentials: Option<(&str, &str)>) -> io::Result<()> {
    let [_, count] = read::<2>(&mut client)?;
    let methods = read_some(&mut client, count)?;
    let method = if credentials.is_some() { BY_PASSWORD } else { WITHOUT };
    if !methods.contains(&method) {
        return client.write_all(&[VERSION, NONE_OF_THEM]);
    }
    client.write_all(&[VERSION, method])?;
    if let Some((user_name, password)) = credentials {
        let [_, length] = read::<2>(&mut client)?;
        let said_name = read_some(&mut client, length)?;
        let [length] = read::<1>(&mut client)?;
        let is_right = (said_name, read_some(&mut client, length)?) == (user_name.into(), password.into());
        client.write_all(&[1, u8::from(!is_right)])?;
        if !is_right {
            return Ok(());
        }
    }
    let server = asked_for(&mut client).and_then(TcpStream::connect);
    let reply = if server.is_ok() { SUCCEEDED } else { REFUSED };
    client.write_all(&[VERSION, reply, 0, BY_IPV4, 0, 0, 0, 0, 0, 0])?;
    relay(client, server?)
}

/// The host and the port of a request to connect.
fn asked_for(client: &mut TcpStream) -> io::Result<(String, u16)> {
    let [_, _, _, kind] = read::<4>(client)?;
    let host = match kind {
        BY_IPV4 => IpAddr::from(Ipv4Addr::from(read::<4>(client)?)).to_string(),
        BY_IPV6 => IpAddr::from(Ipv6Addr::from(read::<16>(client)?)).to_string(),
        _ => {
            let [length] = read::<1>(client)?;
            String::from_utf8(read_some(client, length)?).map_err(io::Error::other)?
        }
    };
    Ok((host, u16::from_be_bytes(read::<2>(client)?)))
}

fn relay(mut client: TcpStream, mut server: TcpStream) -> io::Result<()> {
    let (mut from_server, mut to_client) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(std::net::Shutdown::Write);
    });
    io::copy(&mut client, &mut server)?;
    server.shutdown(std::net::Shutdown::Write)
}

fn read<const LENGTH: usize>(client: &mut TcpStream) -> io::Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    client.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_some(client: &mut TcpStream, length: u8) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::from(length)];
    client.read_exact(&mut bytes)?;
    Ok(bytes)
}

const VERSION: u8 = 5;
const WITHOUT: u8 = 0;
const BY_PASSWORD: u8 = 2;
const NONE_OF_THEM: u8 = 0xFF;
const BY_IPV4: u8 = 1;
const BY_IPV6: u8 = 4;
const SUCCEEDED: u8 = 0;
const REFUSED: u8 = 5;
