//! Command lines as found on machines, and what people call what they run.

use super::*;

fn facts(exe: &str, args: &[&str]) -> Facts {
    Facts { exe: exe.to_string(), args: args.iter().map(|arg| arg.to_string()).collect(), ..Facts::default() }
}

/// A command line, as a user would type it; the executable is its first word unless `exe` says otherwise.
fn named(line: &str) -> String {
    let args: Vec<&str> = line.split(' ').collect();
    program(&facts(args[0], &args)).name
}

fn check(table: &[(&str, &str)]) {
    for (line, name) in table {
        assert_eq!(named(line), *name, "{line}");
    }
}

#[test]
fn python_scripts_and_modules() {
    check(&[
        ("python app.py", "app"),
        ("/usr/bin/python3.11 /srv/shop/app.py --port 8080", "shop"),
        ("python3 -u -X dev -W ignore app.py", "app"),
        ("python3 -uB -Wignore app.py", "app"),
        ("python3 -m shop", "shop"),
        ("python3 -um shop.worker", "shop.worker"),
        ("python3 -mshop.__main__", "shop"),
        ("python3 -m http.server 8000", "http.server"),
        ("python3 -c print(1)", "python"),
        ("python3.11", "python"),
        ("python3 -", "python"),
        ("/opt/venv/bin/python /opt/venv/bin/shop-worker", "shop-worker"),
        ("pypy3 app.py", "app"),
        ("python3 /srv/shop/__main__.py", "shop"),
        ("python3 -m debugpy --listen 5678 app.py", "app"),
    ]);
}

#[test]
fn python_servers_are_called_as_the_module_that_they_serve() {
    check(&[
        ("/usr/bin/python3 /usr/bin/gunicorn app:app", "app"),
        ("/usr/bin/python3 /usr/bin/gunicorn -w 4 -b 0.0.0.0:8000 --threads 8 shop.wsgi:application", "shop"),
        ("python /venv/bin/gunicorn --bind=127.0.0.1:5000 --worker-class gthread shop:create_app()", "shop"),
        ("python /venv/bin/gunicorn -w 4 shop.wsgi", "shop"),
        ("python /venv/bin/gunicorn --reload shop", "shop"),
        ("python -m uvicorn app.main:app --host 0.0.0.0 --port 8000", "app.main"),
        ("python /venv/bin/uvicorn --host localhost --port 80 shop.asgi:application", "shop"),
        ("python -m hypercorn shop:app", "shop"),
        ("python /venv/bin/daphne -b 0.0.0.0 -p 8001 shop.asgi:application", "shop"),
        ("python /venv/bin/waitress-serve --port=8041 shop:app", "shop"),
        ("python /venv/bin/celery -A shop worker -l info", "shop"),
        ("python -m celery --app=shop.celery beat", "shop"),
        ("python -m flask --app shop run -p 5000", "shop"),
        ("python /venv/bin/flask -A src/shop.py:create_app run", "shop"),
        ("python /venv/bin/flask run", "flask"),
        ("python /srv/shop/manage.py runserver 0.0.0.0:8000", "shop"),
        ("python manage.py runserver --settings=store.settings.dev", "store"),
        ("uwsgi --http :8000 --module shop.wsgi:application", "shop"),
        ("python /venv/bin/gunicorn -c gunicorn.conf.py", "gunicorn"),
    ]);
}

#[test]
fn flask_and_django_listen_to_their_variables() {
    let mut flask = facts("/usr/bin/python3", &["python3", "/usr/bin/flask", "run"]);
    flask.env = crate::discovery::facts::Env::parse(b"PATH=/bin\0FLASK_APP=shop.py\0");
    assert_eq!(program(&flask).name, "shop");
    let mut django = facts("/usr/bin/python3", &["python3", "manage.py", "runserver"]);
    django.env = crate::discovery::facts::Env::parse(b"DJANGO_SETTINGS_MODULE=store.settings\0");
    assert_eq!(program(&django).name, "store");
}

#[test]
fn rewritten_titles_still_name_the_program() {
    for (exe, title, name) in [
        ("/usr/bin/python3.11", "gunicorn: master [shop.wsgi:application]", "shop"),
        ("/usr/bin/python3.11", "gunicorn: worker [app:app]", "app"),
        ("/usr/sbin/nginx", "nginx: worker process", "nginx"),
        ("/usr/sbin/php-fpm8.2", "php-fpm: pool www", "php-fpm"),
        ("/usr/bin/ruby3.1", "puma 6.4.0 (tcp://0.0.0.0:3000) [shop]", "shop"),
        ("/usr/bin/ruby3.1", "puma: cluster worker 0: 4711 [shop]", "shop"),
        ("/usr/bin/ruby3.1", "sidekiq 7.1.2 shop [0 of 5 busy]", "shop"),
        ("/usr/bin/node", "npm run start", "npm"),
        ("/usr/lib/postgresql/15/bin/postgres", "postgres: shop shop 127.0.0.1(40000) idle", "postgres"),
        ("/usr/bin/redis-server", "/usr/bin/redis-server 127.0.0.1:6379", "redis-server"),
    ] {
        assert_eq!(program(&facts(exe, &[title, "", ""])).name, name, "{title}");
    }
}

#[test]
fn java_archives_classes_and_modules() {
    check(&[
        ("java -jar shop.jar", "shop"),
        (
            "/usr/lib/jvm/java-17/bin/java -Xmx1g -XX:+UseG1GC -jar /opt/shop-1.2.3-SNAPSHOT.jar --server.port=80",
            "shop",
        ),
        ("java -jar my-shop-v2.jar", "my-shop"),
        ("java -cp /a.jar:/b.jar -Dx=y com.acme.Main arg", "acme"),
        ("java -classpath lib/* --add-opens java.base/java.lang=ALL-UNNAMED com.acme.shop.ShopKt", "ShopKt"),
        ("java @options.txt -javaagent:x.jar com.acme.Main", "acme"),
        ("java -p mods -m com.acme.shop/com.acme.shop.Main", "Main"),
        ("java Shop.java", "Shop"),
        ("java -Dspring.application.name=shop -jar app.jar", "shop"),
        ("java -jar app.jar --spring.application.name=shop", "shop"),
        ("java -classpath x org.apache.catalina.startup.Bootstrap start", "tomcat"),
        ("java -version", "java"),
    ]);
}

#[test]
fn node_scripts_and_tools() {
    check(&[
        ("node server.js", "server"),
        ("/usr/bin/node --max-old-space-size=4096 -r ./trace.js --import ./x.mjs /srv/shop/server.mjs 80", "shop"),
        ("node /srv/shop/index.js", "shop"),
        ("node -e 1", "node"),
        ("node", "node"),
        ("nodejs app.js", "app"),
        ("node inspect app.js", "app"),
        ("node /srv/shop/node_modules/.bin/ts-node src/server.ts", "server"),
        ("node /usr/lib/node_modules/npm/bin/npm-cli.js start", "npm"),
        ("node /srv/shop/node_modules/@nestjs/cli/bin/nest.js start", "cli"),
        ("deno run -A main.ts", "main"),
        ("bun run server.ts", "server"),
        ("bun server.ts", "server"),
    ]);
}

#[test]
fn php_ruby_and_the_rest() {
    check(&[
        ("php -S 127.0.0.1:8000 router.php", "router"),
        ("php -S 127.0.0.1:8000 -t /srv/shop", "shop"),
        ("php8.2 -d memory_limit=1G worker.php", "worker"),
        ("php -f worker.php", "worker"),
        ("php -r 1;", "php"),
        ("php /srv/shop/artisan serve", "shop"),
        ("php /srv/shop/bin/console messenger:consume", "shop"),
        ("ruby app.rb", "app"),
        ("ruby -r bundler/setup -I lib app.rb", "app"),
        ("ruby -e 1", "ruby"),
        ("ruby /usr/bin/bundle exec puma -C config/puma.rb", "puma"),
        ("dotnet Shop.dll", "Shop"),
        ("dotnet exec --depsfile x.json /app/Shop.dll", "Shop"),
        ("dotnet run --project src/Shop", "Shop"),
        ("perl -I lib -w server.pl", "server"),
        ("perl -e 1", "perl"),
        ("beam.smp -W w -- -root /x -sname shop@host", "shop"),
    ]);
}

#[test]
fn shells_are_their_script() {
    check(&[
        ("bash run.sh", "run"),
        ("/bin/sh -e /usr/local/bin/docker-entrypoint.sh nginx", "docker-entrypoint"),
        ("bash -eo pipefail /srv/deploy", "deploy"),
        ("sh -c curl", "sh"),
    ]);
}

#[test]
fn a_shell_that_reads_a_pipe_is_the_shell() {
    check(&[("bash /dev/fd/3", "bash"), ("sh /proc/self/fd/9", "sh")]);
}

#[test]
fn executables_that_are_many_programs_go_by_their_first_argument() {
    for (exe, line, name) in [
        ("/bin/busybox", "wget http://x", "wget"),
        ("/bin/busybox", "/bin/sh run.sh", "run"),
        ("/bin/busybox", "busybox wget http://x", "wget"),
        ("/memfd:runc_cloned:/proc/self/exe", "runc init", "runc"),
        ("/memfd:sealed-91173221a7ea", "tools/backend --x", "backend"),
    ] {
        let args: Vec<&str> = line.split(' ').collect();
        assert_eq!(program(&facts(exe, &args)).name, name, "{exe} {line}");
    }
    for (title, name) in [("redis-server 127.0.0.1:6379", "redis-server"), ("redis-check-rdb", "redis-check-rdb")] {
        assert_eq!(program(&facts("/usr/bin/redis-check-rdb", &[title])).name, name);
    }
}

#[test]
fn anything_else_is_its_executable() {
    check(&[
        ("/usr/sbin/nginx -g daemon", "nginx"),
        ("curl http://localhost", "curl"),
        ("/usr/bin/mysqld-8.0", "mysqld"),
        ("h2", "h2"),
        ("/opt/shop/shop-server", "shop-server"),
    ]);
    assert_eq!(program(&Facts::default()).name, "");
}

#[test]
fn the_language_is_the_runtimes() {
    let language = |line: &str| {
        let args: Vec<&str> = line.split(' ').collect();
        program(&facts(args[0], &args)).language.map(Language::name)
    };
    assert_eq!(language("python3.11 app.py"), Some("python"));
    assert_eq!(language("node x.js"), Some("nodejs"));
    assert_eq!(language("nginx"), None);
}
