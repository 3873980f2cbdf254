//! A gRPC server and a client on tonic, on a runtime of several threads: `stock_tonic serve PORT`, `stock_tonic web PORT`
//! (gRPC-Web over HTTP/1.1), and `stock_tonic call PORT CALL…`, all calls on one connection.

use std::convert::Infallible;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Buf, BufMut, Bytes};
use tokio_stream::{Stream, StreamExt, iter};
use tonic::body::Body;
use tonic::client;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder, Streaming};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{BoxFuture, BoxStream, Context, Poll, Service, http};
use tonic::server::{self, NamedService, StreamingService, UnaryService};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status};
use tonic_web::GrpcWebLayer;

/// Calls that `crowd` makes, and how many are under way at once.
const CROWD: (usize, usize) = (300, 100);

/// Messages as they are, without a schema.
#[derive(Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// `shop.v1.Stock`, with the methods of `stock.py`.
#[derive(Clone)]
struct Stock;

impl NamedService for Stock {
    const NAME: &'static str = "shop.v1.Stock";
}

impl Service<http::Request<Body>> for Stock {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let method = request.uri().path().trim_start_matches("/shop.v1.Stock/").to_owned();
            let mut grpc = server::Grpc::new(Raw);
            Ok(match method.as_str() {
                "One" => grpc.unary(One, request).await,
                "Many" | "Gather" | "Talk" => grpc.streaming(Streams { method }, request).await,
                _ => Status::unimplemented(method).into_http(),
            })
        })
    }
}

struct One;

impl UnaryService<Bytes> for One {
    type Response = Bytes;
    type Future = BoxFuture<Response<Bytes>, Status>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        Box::pin(async move {
            // Another thread may well go on from here.
            tokio::task::yield_now().await;
            if request.get_ref() == "missing" {
                return Err(Status::not_found("no such thing"));
            }
            Ok(Response::new(request.into_inner()))
        })
    }
}

struct Streams {
    method: String,
}

impl StreamingService<Bytes> for Streams {
    type Response = Bytes;
    type ResponseStream = BoxStream<Bytes>;
    type Future = BoxFuture<Response<BoxStream<Bytes>>, Status>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let method = std::mem::take(&mut self.method);
        Box::pin(async move {
            let mut requests = request.into_inner();
            let answers: BoxStream<Bytes> = match method.as_str() {
                "Talk" => Box::pin(requests),
                "Many" => {
                    requests.message().await?;
                    Box::pin(iter((0..5).map(|n| Ok(format!("item {n}").into()))))
                }
                _ => {
                    let mut count = 0;
                    while requests.message().await?.is_some() {
                        count += 1;
                    }
                    Box::pin(iter([Ok(count.to_string().into())]))
                }
            };
            Ok(Response::new(answers))
        })
    }
}

type Client = client::Grpc<Channel>;

fn path(method: &'static str) -> PathAndQuery {
    PathAndQuery::from_static(method)
}

async fn one(mut client: Client, message: &'static str) -> Result<Bytes, Status> {
    client.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
    let answer = client.unary(Request::new(message.into()), path("/shop.v1.Stock/One"), Raw).await;
    answer.map(Response::into_inner)
}

fn messages(list: &'static [&'static str]) -> impl Stream<Item = Bytes> + Send + 'static {
    iter(list.iter().map(|text| Bytes::from_static(text.as_bytes())))
}

async fn crowd(client: &Client) -> Result<()> {
    for _ in 0..CROWD.0 / CROWD.1 {
        let calls: Vec<_> = (0..CROWD.1).map(|_| tokio::spawn(one(client.clone(), "crowd"))).collect();
        for call in calls {
            call.await.context("a call panicked")??;
        }
    }
    Ok(())
}

async fn call(client: &mut Client, what: &str) -> Result<()> {
    client.ready().await?;
    let received = match what {
        "one" => return one(client.clone(), "one").await.map(drop).map_err(Into::into),
        "missing" => {
            let code = one(client.clone(), "missing").await.err().map(|status| status.code());
            ensure!(code == Some(Code::NotFound), "{code:?}");
            return Ok(());
        }
        "crowd" => return crowd(client).await,
        "many" => {
            let all = Request::new(Bytes::from_static(b"all"));
            let answers = client.server_streaming(all, path("/shop.v1.Stock/Many"), Raw).await?;
            answers.into_inner().collect::<Vec<_>>().await.len()
        }
        "gather" => {
            let some = Request::new(messages(&["a", "b", "c"]));
            client.client_streaming(some, path("/shop.v1.Stock/Gather"), Raw).await.map(|_| 1)?
        }
        "talk" => {
            let some = Request::new(messages(&["hello", "there"]));
            let answers = client.streaming(some, path("/shop.v1.Stock/Talk"), Raw).await?;
            answers.into_inner().collect::<Vec<_>>().await.len()
        }
        _ => bail!("no call {what}"),
    };
    ensure!(received > 0, "no message");
    Ok(())
}

#[tokio::main(flavor = "multi_thread", worker_threads = 4)]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [verb, port, calls @ ..] = arguments.as_slice() else { bail!("serve PORT | web PORT | call PORT CALL…") };
    let address = format!("127.0.0.1:{port}");
    if verb == "serve" {
        return Server::builder().add_service(Stock).serve(address.parse()?).await.context("cannot serve");
    }
    if verb == "web" {
        let mut server = Server::builder().accept_http1(true).layer(GrpcWebLayer::new());
        return server.add_service(Stock).serve(address.parse()?).await.context("cannot serve");
    }
    let mut client = Client::new(Endpoint::from_shared(format!("http://{address}"))?.connect().await?);
    for what in calls {
        call(&mut client, what).await.with_context(|| what.clone())?;
    }
    Ok(())
}
