package org.example;

import com.google.gson.Gson;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/** Answers with a greeting. {@code --check} asks one that runs already. */
public final class Greeter {
    private static final int PORT = 8080;

    public static void main(String[] words) throws Exception {
        if (words.length == 1 && words[0].equals("--check")) {
            URI own = URI.create("http://127.0.0.1:" + PORT + "/");
            HttpRequest request = HttpRequest.newBuilder(own).build();
            int status = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.discarding()).statusCode();
            System.exit(status == 200 ? 0 : 1);
        }
        serve();
    }

    private static void serve() throws IOException {
        byte[] greeting = new Gson().toJson(Map.of("greeting", "hello, world")).getBytes(StandardCharsets.UTF_8);
        HttpServer server = HttpServer.create(new InetSocketAddress(PORT), 0);
        server.createContext("/", exchange -> {
            exchange.sendResponseHeaders(200, greeting.length);
            exchange.getResponseBody().write(greeting);
            exchange.close();
        });
        server.start();
        System.out.println("listening on " + PORT);
    }
}
