//! Answers with a greeting: for the body of a POST, or for the world.
mod mayfly;

use mayfly::{Event, Reply};

fn greet(event: &Event) -> Result<Reply, String> {
    let name = match event.body() {
        [] => "world".to_string(),
        body => String::from_utf8_lossy(body).into_owned(),
    };
    mayfly::log(&format!("greeting {name}"));
    Ok(Reply::text(format!("Hello, {name}!\n")))
}

mayfly_function!("@NAME@", greet);
