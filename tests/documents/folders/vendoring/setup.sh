envbuild build web.env
