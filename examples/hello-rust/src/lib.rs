//! Greets the body of a POST, or `?name=…` (not decoded).
mod mayfly;

fn hello(event: &mayfly::Event, response: &mut mayfly::Response) -> Result<(), String> {
    let query = event.query();
    let name: &[u8] = match query.strip_prefix(b"name=") {
        Some(rest) => rest.split(|byte| *byte == b'&').next().unwrap_or(b""),
        None if !event.body().is_empty() => event.body(),
        None => b"world",
    };
    let mut greeting = b"Hello, ".to_vec();
    greeting.extend_from_slice(name);
    greeting.extend_from_slice(b"!\n");
    response.reply(200, "text/plain; charset=utf-8", &greeting)
}

mayfly_function!("hello", hello);
