//! The module ABI of Mayfly for Rust: `mayfly/function.h`, struct by struct, and a safe layer over it.
//!
//! One handler per module, without state. Copy this file into a crate of type `cdylib`, and say
//! `mayfly_function!("name", function);` once. A handler that returns `Err`, or panics, fails its invocation with that
//! text.
#![allow(dead_code)]

use std::os::raw::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

pub const ABI_VERSION: u32 = 1;
pub const NO_FORK: u32 = 1;

const EIO: c_int = 5;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct RawStr {
    pub data: *const u8,
    pub size: usize,
}

#[repr(C)]
pub struct RawPair {
    pub name: RawStr,
    pub value: RawStr,
}

#[repr(C)]
pub struct RawEvent {
    pub size: usize,
    pub invocation_id: RawStr,
    pub attempt: u32,
    pub is_http: u32,
    pub deadline_ns: u64,
    pub id: RawStr,
    pub source: RawStr,
    pub type_: RawStr,
    pub subject: RawStr,
    pub time: RawStr,
    pub data_content_type: RawStr,
    pub attributes: *const RawPair,
    pub attribute_count: usize,
    pub method: RawStr,
    pub path: RawStr,
    pub query: RawStr,
    pub headers: *const RawPair,
    pub header_count: usize,
    pub parameters: *const RawPair,
    pub parameter_count: usize,
    pub body: *const c_void,
    pub body_size: usize,
}

#[repr(C)]
pub struct RawResponse {
    _opaque: [u8; 0],
}

#[repr(C)]
pub struct RawError {
    _opaque: [u8; 0],
}

#[repr(C)]
pub struct RawHost {
    pub size: usize,
    pub abi_version: u32,
    pub reserved: u32,
    pub log: extern "C" fn(*const RawHost, Level, RawStr),
    pub reply: extern "C" fn(*mut RawResponse, u32, RawStr, *const c_void, usize) -> c_int,
    pub add_header: extern "C" fn(*mut RawResponse, RawStr, RawStr) -> c_int,
    pub begin: extern "C" fn(*mut RawResponse, u32, RawStr) -> c_int,
    pub write: extern "C" fn(*mut RawResponse, *const c_void, usize) -> c_int,
    pub end: extern "C" fn(*mut RawResponse) -> c_int,
    pub fail: extern "C" fn(*mut RawResponse, RawStr) -> c_int,
    pub set_error: extern "C" fn(*mut RawError, RawStr),
}

#[repr(C)]
pub struct RawHandler {
    pub size: usize,
    pub name: *const c_char,
    pub flags: u32,
    pub reserved: u32,
    pub create: Option<extern "C" fn(*const RawHost, RawStr, *mut *mut c_void, *mut RawError) -> c_int>,
    pub after_fork: Option<extern "C" fn(*mut c_void, *mut RawError) -> c_int>,
    pub handle: Option<extern "C" fn(*mut c_void, *const RawEvent, *mut RawResponse) -> c_int>,
    pub destroy: Option<extern "C" fn(*mut c_void)>,
}

#[repr(C)]
pub struct RawModule {
    pub size: usize,
    pub abi_version: u32,
    pub handler_count: u32,
    pub handlers: *const *const RawHandler,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub enum Level {
    Debug = 0,
    Info = 1,
    Warn = 2,
    Error = 3,
}

/// What is static and never written, and may therefore be seen by every thread although it holds pointers.
#[repr(transparent)]
pub struct Static<T>(pub T);
unsafe impl<T> Sync for Static<T> {}

static HOST: AtomicPtr<RawHost> = AtomicPtr::new(std::ptr::null_mut());

pub fn set_host(host: *const RawHost) {
    HOST.store(host as *mut RawHost, Ordering::Release);
}

fn host() -> &'static RawHost {
    // Set before any handler runs, and valid as long as the process lives.
    unsafe { &*HOST.load(Ordering::Acquire) }
}

fn raw(bytes: &[u8]) -> RawStr {
    RawStr { data: bytes.as_ptr(), size: bytes.len() }
}

fn view<'a>(text: RawStr) -> &'a [u8] {
    slice(text.data, text.size)
}

fn slice<'a, T>(data: *const T, count: usize) -> &'a [T] {
    if count == 0 {
        return &[];
    }
    // The ABI promises `count` items that stay until the handler returns, which is as long as an Event lives.
    unsafe { std::slice::from_raw_parts(data, count) }
}

/// Writes a line to the function's log.
pub fn log(level: Level, text: &str) {
    (host().log)(host(), level, raw(text.as_bytes()));
}

/// What a handler is called for. Everything is read in place; bytes need not be UTF-8.
pub struct Event<'a>(&'a RawEvent);

impl<'a> Event<'a> {
    pub fn invocation_id(&self) -> &'a [u8] {
        view(self.0.invocation_id)
    }
    pub fn attempt(&self) -> u32 {
        self.0.attempt
    }
    pub fn content_type(&self) -> &'a [u8] {
        view(self.0.data_content_type)
    }
    pub fn method(&self) -> &'a [u8] {
        view(self.0.method)
    }
    pub fn path(&self) -> &'a [u8] {
        view(self.0.path)
    }
    pub fn query(&self) -> &'a [u8] {
        view(self.0.query)
    }
    /// The first value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        let headers: &'a [RawPair] = slice(self.0.headers, self.0.header_count);
        headers.iter().find(|pair| view(pair.name) == name.as_bytes()).map(|pair| view(pair.value))
    }
    /// The value of a `{name}` segment of the route.
    pub fn parameter(&self, name: &str) -> Option<&'a [u8]> {
        let parameters: &'a [RawPair] = slice(self.0.parameters, self.0.parameter_count);
        parameters.iter().find(|pair| view(pair.name) == name.as_bytes()).map(|pair| view(pair.value))
    }
    pub fn body(&self) -> &'a [u8] {
        slice(self.0.body as *const u8, self.0.body_size)
    }
}

/// Where the answer goes: headers first, then one `reply`, or `begin`, any number of `write`, and `end`.
pub struct Response(*mut RawResponse);

impl Response {
    pub fn header(&mut self, name: &str, value: &[u8]) -> Result<(), String> {
        check("adding a header", (host().add_header)(self.0, raw(name.as_bytes()), raw(value)))
    }
    pub fn reply(&mut self, status: u32, content_type: &str, body: &[u8]) -> Result<(), String> {
        let data = body.as_ptr() as *const c_void;
        check("answering", (host().reply)(self.0, status, raw(content_type.as_bytes()), data, body.len()))
    }
    pub fn begin(&mut self, status: u32, content_type: &str) -> Result<(), String> {
        check("beginning an answer", (host().begin)(self.0, status, raw(content_type.as_bytes())))
    }
    pub fn write(&mut self, data: &[u8]) -> Result<(), String> {
        check("writing the answer", (host().write)(self.0, data.as_ptr() as *const c_void, data.len()))
    }
    pub fn end(&mut self) -> Result<(), String> {
        check("ending the answer", (host().end)(self.0))
    }
}

fn check(what: &str, error: c_int) -> Result<(), String> {
    match error {
        0 => Ok(()),
        _ => Err(format!("{}: {}", what, std::io::Error::from_raw_os_error(error))),
    }
}

/// What the exported handler does: no panic leaves it.
pub fn serve(
    function: fn(&Event, &mut Response) -> Result<(), String>,
    event: *const RawEvent,
    response: *mut RawResponse,
) -> c_int {
    let outcome = std::panic::catch_unwind(|| {
        let event = Event(unsafe { &*event });
        function(&event, &mut Response(response))
    });
    let message = match outcome {
        Ok(Ok(())) => return 0,
        Ok(Err(message)) => message,
        Err(panic) => match panic.downcast_ref::<&str>() {
            Some(text) => format!("the handler panicked: {}", text),
            None => match panic.downcast_ref::<String>() {
                Some(text) => format!("the handler panicked: {}", text),
                None => "the handler panicked".to_string(),
            },
        },
    };
    if (host().fail)(response, raw(message.as_bytes())) == 0 {
        return 0;
    }
    log(Level::Error, &message);
    EIO
}

/// Exports a module whose one handler is `$function`, called `$name`.
#[macro_export]
macro_rules! mayfly_function {
    ($name:literal, $function:path) => {
        extern "C" fn mayfly_handle(
            _instance: *mut std::os::raw::c_void,
            event: *const mayfly::RawEvent,
            response: *mut mayfly::RawResponse,
        ) -> std::os::raw::c_int {
            mayfly::serve($function, event, response)
        }
        static MAYFLY_HANDLER: mayfly::Static<mayfly::RawHandler> = mayfly::Static(mayfly::RawHandler {
            size: std::mem::size_of::<mayfly::RawHandler>(),
            name: concat!($name, "\0").as_ptr() as *const std::os::raw::c_char,
            flags: 0,
            reserved: 0,
            create: None,
            after_fork: None,
            handle: Some(mayfly_handle),
            destroy: None,
        });
        static MAYFLY_HANDLERS: mayfly::Static<[*const mayfly::RawHandler; 1]> =
            mayfly::Static([&MAYFLY_HANDLER.0 as *const mayfly::RawHandler]);
        static MAYFLY_MODULE: mayfly::Static<mayfly::RawModule> = mayfly::Static(mayfly::RawModule {
            size: std::mem::size_of::<mayfly::RawModule>(),
            abi_version: mayfly::ABI_VERSION,
            handler_count: 1,
            handlers: &MAYFLY_HANDLERS.0 as *const *const mayfly::RawHandler,
        });
        #[no_mangle]
        pub extern "C" fn mayfly_module_v1(host: *const mayfly::RawHost) -> *const mayfly::RawModule {
            mayfly::set_host(host);
            &MAYFLY_MODULE.0
        }
    };
}
