package millrace.reference;

import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.Schema;
import org.apache.flink.table.api.Table;
import org.apache.flink.table.api.bridge.java.StreamStatementSet;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.table.catalog.Column;
import org.apache.flink.table.connector.ChangelogMode;

/**
 * Runs a file of SQL as one job: statements that stand apart by a line of "--", all INSERTs together. {@code SHARE view AS name}: what
 * the view computes is computed once for all who read {@code name}.
 */
public class Reference {
  private static final String TIME = "event_time";

  public static void main(String[] arguments) throws Exception {
    StreamExecutionEnvironment environment = StreamExecutionEnvironment.getExecutionEnvironment();
    StreamTableEnvironment tables = StreamTableEnvironment.create(environment);
    tables.createTemporarySystemFunction("decode_event", Decode.class);
    StreamStatementSet inserts = tables.createStatementSet();
    for (String statement : Files.readString(Path.of(arguments[0])).split("\n--\n")) {
      String[] words = statement.strip().split("\\s+");
      switch (words[0]) {
        case "INSERT" -> inserts.addInsertSql(statement);
        case "SHARE" -> share(tables, words[1], words[3]);
        default -> tables.executeSql(statement);
      }
    }
    inserts.attachAsDataStream();
    environment.execute("reference");
  }

  private static void share(StreamTableEnvironment tables, String view, String name) {
    Table table = tables.from(view);
    Schema.Builder out = Schema.newBuilder();
    Schema.Builder back = Schema.newBuilder();
    for (Column column : table.getResolvedSchema().getColumns()) {
      if (!column.getName().equals(TIME)) {
        out.column(column.getName(), column.getDataType());
        back.column(column.getName(), column.getDataType());
      }
    }
    out.columnByMetadata(TIME, DataTypes.TIMESTAMP_LTZ(3), "rowtime");
    back.columnByMetadata(TIME, DataTypes.TIMESTAMP_LTZ(3), "rowtime").watermark(TIME, "SOURCE_WATERMARK()");
    var stream = tables.toChangelogStream(table, out.build(), ChangelogMode.insertOnly());
    tables.createTemporaryView(name, tables.fromDataStream(stream, back.build()));
  }
}
