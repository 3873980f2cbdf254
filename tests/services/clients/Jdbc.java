// JDBC: statements prepared by the driver, batches, a fetch size, an error. The same against PostgreSQL and MariaDB.
import java.sql.*;

public class Jdbc {
    public static void main(String[] arguments) throws Exception {
        try (Connection connection = DriverManager.getConnection(arguments[0])) {
            connection.createStatement().execute("CREATE TABLE java (id int PRIMARY KEY, name varchar(20), data varchar(20))");
            try (PreparedStatement insert = connection.prepareStatement("INSERT INTO java VALUES (?, ?, ?)")) {
                insert.setNull(3, Types.VARCHAR);
                for (int n = 0; n < 6; n++) {
                    insert.setInt(1, n);
                    insert.setString(2, "secret");
                    insert.executeUpdate();
                }
                for (int n = 10; n < 13; n++) {
                    insert.setInt(1, n);
                    insert.setString(2, "secret");
                    insert.addBatch();
                }
                insert.executeBatch();
                // MariaDB's driver sends a command for each row.
                if (arguments[0].startsWith("jdbc:postgresql")) {
                    for (int n = 1; n <= 1000; n++) {
                        insert.setInt(1, -n);
                        insert.setString(2, "secret");
                        insert.addBatch();
                    }
                    insert.executeBatch();
                }
                try {
                    insert.setInt(1, 1);
                    insert.executeUpdate();
                } catch (SQLException expected) {
                    // It is there already.
                }
            }
            connection.setAutoCommit(false);
            try (PreparedStatement select = connection.prepareStatement("SELECT * FROM java WHERE id >= ?")) {
                select.setFetchSize(4);
                select.setInt(1, 0);
                ResultSet rows = select.executeQuery();
                int count = 0;
                while (rows.next()) count++;
                if (count != 9) throw new IllegalStateException("rows: " + count);
            }
            connection.commit();
        }
    }
}
