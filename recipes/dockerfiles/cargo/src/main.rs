//! Answers with a greeting. `--check` asks one that runs already.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::exit;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["--version"] => println!("greeter {}", env!("CARGO_PKG_VERSION")),
        ["--check"] => exit(if is_well("127.0.0.1:8080").unwrap_or(false) { 0 } else { 1 }),
        ["--listen", address] => serve(address),
        _ => {
            eprintln!("usage: greeter --listen ADDRESS | --check | --version");
            exit(2)
        }
    }
}

fn serve(address: &str) {
    let server = tiny_http::Server::http(address).expect("the address can't be used");
    println!("listening on {address}");
    for request in server.incoming_requests() {
        let greeting = format!("hello, {}\n", request.url().trim_start_matches('/'));
        if let Err(error) = request.respond(tiny_http::Response::from_string(greeting)) {
            eprintln!("{error}");
        }
    }
}

fn is_well(address: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.contains(" 200 "))
}
