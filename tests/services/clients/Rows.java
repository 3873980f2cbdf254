// JDBC: a batch of rows of one statement, sent as the URL says. Each row takes the server a while: the driver is ahead of it.
import java.sql.*;

public class Rows {
    public static void main(String[] arguments) throws Exception {
        int rows = Integer.parseInt(arguments[1]);
        try (Connection connection = DriverManager.getConnection(arguments[0])) {
            connection.createStatement().execute("CREATE TABLE parcels (id int, name varchar(20), pause int)");
            connection.setAutoCommit(false);
            try (PreparedStatement insert = connection.prepareStatement("INSERT INTO parcels VALUES (?, ?, SLEEP(?))")) {
                for (int n = 0; n < rows; n++) {
                    insert.setInt(1, n);
                    insert.setString(2, "secret");
                    insert.setDouble(3, 0.004);
                    insert.addBatch();
                }
                if (insert.executeBatch().length != rows) throw new IllegalStateException("rows");
            }
            connection.commit();
        }
    }
}
