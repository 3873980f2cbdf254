//! Of `runtime.v1.RuntimeService` (k8s.io/cri-api) the one call that is made, and of its messages what is read.

use std::collections::HashMap;

use prost::Message;

/// The call's path.
pub const LIST: &str = "/runtime.v1.RuntimeService/ListContainers";

/// `ListContainersRequest`.
#[derive(Message)]
pub struct Request {
    /// Which containers are meant.
    #[prost(message, optional, tag = "1")]
    pub filter: Option<Filter>,
}

/// `ContainerFilter`.
#[derive(Message)]
pub struct Filter {
    /// The container's id.
    #[prost(string, tag = "1")]
    pub id: String,
}

/// `ListContainersResponse`.
#[derive(Message)]
pub struct Response {
    /// Those that there are.
    #[prost(message, repeated, tag = "1")]
    pub containers: Vec<Container>,
}

/// `Container`.
#[derive(Message)]
pub struct Container {
    /// Its id.
    #[prost(string, tag = "1")]
    pub id: String,
    /// Its name.
    #[prost(message, optional, tag = "3")]
    pub metadata: Option<Metadata>,
    /// What it was made of.
    #[prost(message, optional, tag = "4")]
    pub image: Option<Image>,
    /// Its labels; the kubelet says here whose it is.
    #[prost(map = "string, string", tag = "8")]
    pub labels: HashMap<String, String>,
}

/// `ContainerMetadata`.
#[derive(Message)]
pub struct Metadata {
    /// The container's name in its pod.
    #[prost(string, tag = "1")]
    pub name: String,
}

/// `ImageSpec`.
#[derive(Message)]
pub struct Image {
    /// As it was asked for, or its digest.
    #[prost(string, tag = "1")]
    pub image: String,
}
