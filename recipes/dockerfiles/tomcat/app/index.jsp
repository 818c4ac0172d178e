<%@ page contentType="text/plain; charset=UTF-8" %><%
    String name = request.getParameter("name");
    out.println("hello, " + (name == null ? "world" : name.replaceAll("[^\\p{Alnum} ]", "")));
%>
