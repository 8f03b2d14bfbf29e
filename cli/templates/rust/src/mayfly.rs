//! Mayfly's module ABI for Rust: the structs of mayfly/function.h, and a safe layer over them.
//!
//! A handler is `fn(&Event) -> Result<Reply, String>`; an `Err` or a panic fails the invocation with its text.
#![allow(dead_code)]

use std::ffi::{c_char, c_int, c_void};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicPtr, Ordering};

pub const ABI_VERSION: u32 = 1;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Str {
    data: *const u8,
    size: usize,
}

impl Str {
    fn of(bytes: &[u8]) -> Str {
        Str { data: bytes.as_ptr(), size: bytes.len() }
    }

    /// Mayfly's, and valid as long as the call that it was given to, which `'a` must not outlive.
    unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.size == 0 {
            return &[];
        }
        std::slice::from_raw_parts(self.data, self.size)
    }
}

#[repr(C)]
pub struct Pair {
    name: Str,
    value: Str,
}

#[repr(C)]
pub struct RawEvent {
    size: usize,
    invocation_id: Str,
    attempt: u32,
    is_http: u32,
    deadline_ns: u64,
    id: Str,
    source: Str,
    kind: Str,
    subject: Str,
    time: Str,
    data_content_type: Str,
    attributes: *const Pair,
    attribute_count: usize,
    method: Str,
    path: Str,
    query: Str,
    headers: *const Pair,
    header_count: usize,
    parameters: *const Pair,
    parameter_count: usize,
    body: *const c_void,
    body_size: usize,
}

pub enum RawResponse {}
pub enum RawError {}

type StreamCall = unsafe extern "C" fn(*mut RawResponse) -> c_int;

#[repr(C)]
pub struct Host {
    size: usize,
    abi_version: u32,
    reserved: u32,
    log: unsafe extern "C" fn(*const Host, c_int, Str),
    reply: unsafe extern "C" fn(*mut RawResponse, u32, Str, *const c_void, usize) -> c_int,
    add_header: unsafe extern "C" fn(*mut RawResponse, Str, Str) -> c_int,
    begin: unsafe extern "C" fn(*mut RawResponse, u32, Str) -> c_int,
    write: unsafe extern "C" fn(*mut RawResponse, *const c_void, usize) -> c_int,
    end: StreamCall,
    fail: unsafe extern "C" fn(*mut RawResponse, Str) -> c_int,
    set_error: unsafe extern "C" fn(*mut RawError, Str),
}

#[repr(C)]
pub struct RawHandler {
    pub size: usize,
    pub name: *const c_char,
    pub flags: u32,
    pub reserved: u32,
    pub create: Option<unsafe extern "C" fn(*const Host, Str, *mut *mut c_void, *mut RawError) -> c_int>,
    pub after_fork: Option<unsafe extern "C" fn(*mut c_void, *mut RawError) -> c_int>,
    pub handle: unsafe extern "C" fn(*mut c_void, *const RawEvent, *mut RawResponse) -> c_int,
    pub destroy: Option<unsafe extern "C" fn(*mut c_void)>,
}

#[repr(C)]
pub struct RawModule {
    pub size: usize,
    pub abi_version: u32,
    pub handler_count: u32,
    pub handlers: *const *const RawHandler,
}

/// For statics: what Mayfly reads is never written.
#[repr(transparent)]
pub struct Shared<T>(pub T);
unsafe impl<T> Sync for Shared<T> {}

static HOST: AtomicPtr<Host> = AtomicPtr::new(std::ptr::null_mut());

/// What a handler is called for. What it shows is gone when the handler returns.
pub struct Event<'a> {
    raw: &'a RawEvent,
}

impl<'a> Event<'a> {
    pub fn invocation_id(&self) -> &'a [u8] {
        unsafe { self.raw.invocation_id.bytes() }
    }
    pub fn method(&self) -> &'a [u8] {
        unsafe { self.raw.method.bytes() }
    }
    pub fn path(&self) -> &'a [u8] {
        unsafe { self.raw.path.bytes() }
    }
    pub fn query(&self) -> &'a [u8] {
        unsafe { self.raw.query.bytes() }
    }
    /// The first header of that name, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        for index in 0..self.raw.header_count {
            let pair = unsafe { &*self.raw.headers.add(index) };
            if unsafe { pair.name.bytes() } == name.as_bytes() {
                return Some(unsafe { pair.value.bytes() });
            }
        }
        None
    }
    pub fn body(&self) -> &'a [u8] {
        unsafe { Str { data: self.raw.body.cast(), size: self.raw.body_size }.bytes() }
    }
}

/// A whole answer.
pub struct Reply {
    pub status: u32,
    pub content_type: String,
    pub body: Vec<u8>,
    pub headers: Vec<(String, String)>,
}

impl Reply {
    pub fn text(body: impl Into<String>) -> Reply {
        Reply::new(200, "text/plain; charset=utf-8", body.into().into_bytes())
    }
    pub fn json(body: impl Into<String>) -> Reply {
        Reply::new(200, "application/json", body.into().into_bytes())
    }
    pub fn new(status: u32, content_type: &str, body: Vec<u8>) -> Reply {
        Reply { status, content_type: content_type.to_string(), body, headers: Vec::new() }
    }
}

/// Writes one line to the function's log.
pub fn log(text: &str) {
    const INFO: c_int = 1;
    let host = HOST.load(Ordering::Acquire);
    if !host.is_null() {
        unsafe { ((*host).log)(host, INFO, Str::of(text.as_bytes())) }
    }
}

/// Keeps what Mayfly offers. Called by mayfly_function!.
pub fn set_host(host: *const Host) {
    HOST.store(host.cast_mut(), Ordering::Release);
}

/// Runs a handler for Mayfly. Called by mayfly_function!; `event` and `response` are Mayfly's.
pub unsafe fn serve(
    handler: fn(&Event) -> Result<Reply, String>,
    event: *const RawEvent,
    response: *mut RawResponse,
) -> c_int {
    let host = &*HOST.load(Ordering::Acquire);
    let event = Event { raw: &*event };
    // A panic must not cross the ABI.
    let answer = catch_unwind(AssertUnwindSafe(|| handler(&event)))
        .unwrap_or_else(|_| Err("the handler panicked; its log says where".to_string()));
    match answer {
        Ok(reply) => {
            for (name, value) in &reply.headers {
                let error = (host.add_header)(response, Str::of(name.as_bytes()), Str::of(value.as_bytes()));
                if error != 0 {
                    return error;
                }
            }
            let content_type = Str::of(reply.content_type.as_bytes());
            (host.reply)(response, reply.status, content_type, reply.body.as_ptr().cast(), reply.body.len())
        }
        Err(message) => (host.fail)(response, Str::of(message.as_bytes())),
    }
}

/// Exports the module with one handler. Once per crate.
#[macro_export]
macro_rules! mayfly_function {
    ($name:literal, $handler:path) => {
        unsafe extern "C" fn mayfly_handle(
            _instance: *mut std::ffi::c_void,
            event: *const $crate::mayfly::RawEvent,
            response: *mut $crate::mayfly::RawResponse,
        ) -> std::ffi::c_int {
            $crate::mayfly::serve($handler, event, response)
        }

        #[no_mangle]
        pub extern "C" fn mayfly_module_v1(host: *const $crate::mayfly::Host) -> *const $crate::mayfly::RawModule {
            use $crate::mayfly::{RawHandler, RawModule, Shared, ABI_VERSION};
            static HANDLER: Shared<RawHandler> = Shared(RawHandler {
                size: std::mem::size_of::<RawHandler>(),
                name: concat!($name, "\0").as_ptr() as *const std::ffi::c_char,
                flags: 0,
                reserved: 0,
                create: None,
                after_fork: None,
                handle: mayfly_handle,
                destroy: None,
            });
            static HANDLERS: Shared<[*const RawHandler; 1]> = Shared([&HANDLER.0]);
            static MODULE: Shared<RawModule> = Shared(RawModule {
                size: std::mem::size_of::<RawModule>(),
                abi_version: ABI_VERSION,
                handler_count: 1,
                handlers: &HANDLERS.0 as *const [*const RawHandler; 1] as *const *const RawHandler,
            });
            $crate::mayfly::set_host(host);
            &MODULE.0
        }
    };
}
